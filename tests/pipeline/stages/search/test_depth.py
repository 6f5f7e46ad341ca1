from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from arcs import DIM, arc, away, scan, unit

from laion_eo.pipeline.stages.search.depth import Depth, Found, copies_among, search_deep
from laion_eo.pipeline.stages.search.hits import Integers
from laion_eo.testing import random_unit
from laion_eo.types import Embeddings, Neighbors


def never(ids: Integers) -> Embeddings:
    raise AssertionError(f"vectors of {len(ids)} rows were asked for")


def deep(folder: Path, pool: Embeddings, queries: Embeddings, depth: Depth) -> Found:
    mine = scan(folder, pool)
    may = np.ones(len(queries), dtype=bool)
    return search_deep(mine.search, queries, depth, may, mine.vectors)


def test_without_rules_the_hits_are_those_of_one_search(tmp_path: Path) -> None:
    mine = scan(tmp_path, random_unit(60, DIM))
    queries = random_unit(5, DIM, seed=1)
    found = search_deep(mine.search, queries, Depth(7, 7), np.ones(5, dtype=bool), never)
    plain = mine.search(queries, 7)
    np.testing.assert_array_equal(found.hits.ids.reshape(5, 7), plain.ids)
    np.testing.assert_array_equal(found.hits.scores.reshape(5, 7), plain.scores)
    assert found.hits.ranks().tolist() == list(range(7)) * 5
    assert found.deeper == 0


def test_equal_scores_stay_in_the_order_of_the_retriever() -> None:
    scores = np.array([[0.5, 0.5, 0.5]], np.float32)
    ids = np.array([[9, 2, 4]], np.int64)
    found = search_deep(
        lambda *_: Neighbors(scores, ids),
        random_unit(1, DIM),
        Depth(3, 3),
        np.ones(1, dtype=bool),
        never,
    )
    assert found.hits.ids.tolist() == [9, 2, 4]


def test_near_duplicates_take_no_place(tmp_path: Path) -> None:
    """Each of ten pictures is there five times: k distinct ones are found, and the best of each."""
    rng = np.random.default_rng(0)
    different = arc(np.arange(10) * 15.0)
    pool = unit(np.repeat(different, 5, axis=0) + rng.normal(0, 0.002, (50, DIM)))
    query = arc([0])
    found = deep(tmp_path, pool, query, Depth(6, 60, distinct=0.98))
    assert (found.hits.ids // 5).tolist() == [0, 1, 2, 3, 4, 5]
    exact = pool @ query[0]
    best = [5 * i + int(exact[5 * i : 5 * i + 5].argmax()) for i in range(6)]
    assert found.hits.ids.tolist() == best
    # Those after the last place were never left out: nobody asked for them.
    assert set((found.copies // 5).tolist()) <= set(range(6))
    assert len(np.intersect1d(found.copies, found.hits.ids)) == 0


def test_an_exhausted_pool_gives_what_it_has(tmp_path: Path) -> None:
    pool = np.repeat(arc([0, 40, 80]), 4, axis=0)
    found = deep(tmp_path, pool, arc([0]), Depth(6, 100, distinct=0.98))
    assert found.hits.ids.tolist() == [0, 4, 8]


def test_no_more_is_asked_for_than_the_most(tmp_path: Path) -> None:
    pool = np.concatenate([np.repeat(arc([0]), 20, axis=0), arc([30, 60])])
    found = deep(tmp_path, pool, arc([0]), Depth(2, 8, distinct=0.98))
    assert found.hits.ids.tolist() == [0]


@pytest.mark.parametrize(("until", "given"), [(0.1, 20), (0.4, 20), (0.5, 15), (1.0, 15)])
def test_blocks_are_added_while_their_share_is_accepted(
    tmp_path: Path, until: float, given: int
) -> None:
    """12 rows are near, the others far away: of each 5, 5, 5, 2 and 0 are accepted."""
    pool = np.concatenate([arc(np.arange(12.0)), away(40)])
    found = deep(tmp_path, pool, arc([0]), Depth(5, 40, until=until, threshold=0.9))
    assert len(found.hits.ids) == given
    assert found.deeper == 1


def test_a_query_that_may_not_go_deeper_gets_k(tmp_path: Path) -> None:
    mine = scan(tmp_path, arc(np.arange(30.0)))
    queries = arc([0, 3])
    depth = Depth(5, 20, until=0.5, threshold=0.9)
    found = search_deep(mine.search, queries, depth, np.array([True, False]), never)
    assert np.bincount(found.hits.query).tolist() == [20, 5]
    assert found.deeper == 1


def test_what_a_query_gets_does_not_depend_on_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pool = unit(np.repeat(random_unit(40, DIM), 3, axis=0) + rng.normal(0, 0.01, (120, DIM)))
    queries = random_unit(8, DIM, seed=2)
    depth = Depth(5, 60, distinct=0.98, until=0.4, threshold=0.3)
    together = deep(tmp_path / "all", pool, queries, depth).hits
    for place, query in enumerate(queries):
        alone = deep(tmp_path / str(place), pool, query[None], depth).hits
        np.testing.assert_array_equal(alone.ids, together.ids[together.query == place])


@pytest.mark.parametrize("rows", [1, 40, 1200])
def test_a_copy_is_near_an_earlier_one_that_is_none(rows: int) -> None:
    vectors = unit(random_unit(rows, 4, seed=rows))
    found = copies_among(vectors, 0.95)
    kept: list[int] = []
    for place in range(rows):
        near = bool(kept) and float((vectors[kept] @ vectors[place]).max()) >= 0.95
        assert found[place] == near
        if not near:
            kept.append(place)
