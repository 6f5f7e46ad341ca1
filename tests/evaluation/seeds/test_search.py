from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.component import Context
from laion_eo.evaluation.seeds.search import (
    FIRST_ID,
    finds_of,
    found_again,
    found_in_table,
    with_seeds,
)
from laion_eo.kinds import AnchorSet, Retriever, RetrieverConfig
from laion_eo.schema import ANCHORS, NEIGHBORS
from laion_eo.testing import random_unit
from laion_eo.types import Embeddings, Neighbors

K = 5


class InMemory(Retriever):
    """A pool in memory, to whose rows seeds can really be added."""

    name = "in-memory"
    summary = "rows in memory"

    class Config(RetrieverConfig):
        pass

    config: Config
    rows: Embeddings

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        cosines = queries @ self.rows.T
        k_there = min(k, len(self.rows))
        ids = np.argsort(-cosines, axis=1, kind="stable")[:, :k_there]
        scores = np.take_along_axis(cosines, ids, axis=1)
        missing = ((0, 0), (0, k - k_there))
        return Neighbors(
            np.pad(scores, missing, constant_values=-np.inf),
            np.pad(ids, missing, constant_values=-1),
        )

    def lookup(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Table:
        raise NotImplementedError

    def has_vectors(self) -> bool:
        return True

    def vectors(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Embeddings:
        return self.rows[ids]


def in_memory(rows: Embeddings, **options: float) -> InMemory:
    made = InMemory(InMemory.Config(**{"k": K, **options}), Context())
    made.rows = rows
    return made


def anchor_set(vectors: Embeddings, texts: int = 0) -> AnchorSet:
    count = len(vectors)
    columns = {
        field.name: pa.nulls(count, field.type) for field in ANCHORS if field.name != "embedding"
    }
    columns["source"] = pa.array(range(count), pa.int64())
    columns["view"] = pa.array([0] * count, pa.int32())
    said = [None] * (count - texts) + ["a prompt"] * texts
    columns["text"] = pa.array(said, pa.string())
    return AnchorSet(pa.table(columns), vectors)


def neighbors(pool: InMemory, anchors: AnchorSet) -> pa.Table:
    found = pool.search(anchors.embeddings, K)
    query, rank = np.nonzero(found.ids >= 0)
    columns = [query, np.zeros(len(query)), rank, found.ids[query, rank], found.scores[query, rank]]
    return pa.table(columns, names=NEIGHBORS.names).cast(NEIGHBORS)


@pytest.mark.parametrize("rows", [300, 3])
def test_a_seed_is_found_as_if_it_were_a_row_of_the_pool(rows: int) -> None:
    pool, anchors = in_memory(random_unit(rows, 16, 1)), anchor_set(random_unit(20, 16, 2))
    seeds = random_unit(40, 16, 3)
    found = found_in_table(anchors, seeds, neighbors(pool, anchors), K)
    for place, seed in enumerate(seeds):
        larger = in_memory(np.concatenate([pool.rows, seed[None]]))
        hits = (larger.search(anchors.embeddings, K).ids == rows).any(axis=1)
        assert found[place].tolist() == hits.tolist()
    assert found.any() and (rows < K or not found.any(axis=1).all())


def test_a_search_of_two_rounds_is_done_again() -> None:
    draw = np.random.default_rng(0)

    def near(centre: Embeddings, count: int) -> Embeddings:
        found = centre + draw.normal(0, 0.05, (count, 16)).astype(np.float32)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    centre = random_unit(1, 16, 5)
    anchors = anchor_set(near(centre, 6))
    pool = in_memory(np.concatenate([near(centre, 60), random_unit(300, 16, 6)]))
    seeds = np.concatenate([near(centre, 20), random_unit(20, 16, 7)])
    once = found_again(anchors, seeds, pool).any(axis=1)
    wide = in_memory(pool.rows, hops=2, accept=5, drift=3, hop_share=0.1)
    twice = found_again(anchors, seeds, wide).any(axis=1)
    assert once.sum() < twice.sum()
    assert not np.asarray(twice)[20:].any()


def test_a_plain_search_done_again_finds_no_more_than_alone() -> None:
    pool, anchors = in_memory(random_unit(300, 16, 1)), anchor_set(random_unit(20, 16, 2))
    seeds = random_unit(10, 16, 3)
    alone = found_in_table(anchors, seeds, neighbors(pool, anchors), K)
    together = found_again(anchors, seeds, pool)
    assert (together <= alone).all()  # seeds compete with each other, too


def test_a_seed_is_compared_with_the_nearest_image_that_found_it() -> None:
    anchors = anchor_set(np.eye(4, dtype=np.float32), texts=1)
    seed = np.array([[0.2, 0.5, 0.3, 0.7]], np.float32)
    hits = np.array([[True, False, True, True]])
    assert finds_of(anchors, seed, hits).query.tolist() == [2]
    assert finds_of(anchors, seed, np.array([[False, False, False, True]])).query.tolist() == [3]
    nothing = finds_of(anchors, seed, np.zeros((1, 4), dtype=bool))
    assert (nothing.found.tolist(), nothing.query.tolist()) == ([False], [3])


def test_seeds_take_the_places_of_rows() -> None:
    pool = Neighbors(np.array([[0.9, 0.5, -np.inf]], np.float32), np.array([[4, 7, -1]]))
    found = with_seeds(pool, np.array([[0.6, 0.1]], np.float32), 3)
    assert found.ids.tolist() == [[4, FIRST_ID, 7]]
    assert found.scores.tolist() == [[pytest.approx(0.9), pytest.approx(0.6), pytest.approx(0.5)]]
