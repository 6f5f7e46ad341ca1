"""Which seeds a run's search would have found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.kinds import AnchorSet, Retriever
from laion_eo.kinds.contract import check_embeddings, check_neighbors
from laion_eo.pipeline.stages.search.rounds import search_pool
from laion_eo.types import Embeddings, Neighbors

FIRST_ID = 1 << 62
"""The id of the first seed: beyond the rows of any pool."""
ROUNDING = 1e-6
"""What two ways of adding up the same cosine may differ by."""
_ANYTHING = -2.0
"""Below every cosine."""


@dataclass(frozen=True)
class Finds:
    """What the search makes of n seeds.

    Attributes:
        found: bool, (n,): whether an anchor has it among its nearest.
        query: int64, (n,): the anchor that each is compared with, by its place: the nearest that
            found it, or of all.
        cosine: float32, (n,): to that anchor.
    """

    found: NDArray[np.bool_]
    query: NDArray[np.int64]
    cosine: NDArray[np.float32]


def finds_of(anchors: AnchorSet, seeds: Embeddings, hits: NDArray[np.bool_]) -> Finds:
    """Return which anchor each seed is compared with, as a candidate would be.

    Args:
        anchors: The q queries.
        seeds: float32, (n, dim).
        hits: bool, (n, q): who finds which.
    """
    cosines = seeds @ anchors.embeddings.T
    # Of the anchors that found it the nearest image, or else text: their cosines differ in scale.
    by_image = hits & ~anchors.is_text
    mine = np.where(by_image.any(axis=1, keepdims=True), by_image, hits)
    mine |= ~hits.any(axis=1, keepdims=True)
    query = np.where(mine, cosines, -np.inf).argmax(axis=1)
    found = np.asarray(hits.any(axis=1))
    return Finds(found, query, cosines[np.arange(len(query)), query])


def found_in_table(
    anchors: AnchorSet, seeds: Embeddings, neighbors: pa.Table, k: int
) -> NDArray[np.bool_]:
    """Return who finds which seed in a plain search for k neighbours: bool, (n, q).

    Args:
        anchors: The q queries.
        seeds: float32, (n, dim).
        neighbors: What the run found, the columns of :data:`laion_eo.schema.NEIGHBORS`.
        k: Neighbours of each query; one that has fewer has the whole pool.
    """
    names = ("source", "view")
    keys = zip(*(anchors.table[name].to_pylist() for name in names), strict=True)
    places = {key: place for place, key in enumerate(keys)}
    hits = zip(*(neighbors[name].to_pylist() for name in names), strict=True)
    query = np.array([places[hit] for hit in hits], dtype=np.int64)
    last = np.full(len(places), np.inf, np.float32)
    np.minimum.at(last, query, neighbors["fast_similarity"].to_numpy())
    last[np.bincount(query, minlength=len(places)) < k] = _ANYTHING
    found: NDArray[np.bool_] = seeds @ anchors.embeddings.T >= last - ROUNDING
    return found


def found_again(anchors: AnchorSet, seeds: Embeddings, retriever: Retriever) -> NDArray[np.bool_]:
    """Search as a run does, with the seeds among the pool's rows; return who finds which.

    Args:
        anchors: The q queries.
        seeds: float32, (n, dim).
        retriever: The run's, set up.

    Returns:
        bool, (n, q); what a later round finds is of the nearest anchor.
    """

    def search(queries: Embeddings, k: int) -> Neighbors:
        pool = check_neighbors(retriever, retriever.search(queries, k), len(queries), k)
        return with_seeds(pool, queries @ seeds.T, k)

    def vectors_of(ids: NDArray[np.int64]) -> Embeddings:
        is_seed = ids >= FIRST_ID
        vectors = np.zeros((len(ids), seeds.shape[1]), np.float32)
        vectors[is_seed] = seeds[ids[is_seed] - FIRST_ID]
        if not is_seed.all():
            rows = ids[~is_seed]
            stored = retriever.vectors(rows)
            vectors[~is_seed] = check_embeddings(retriever, stored, len(rows), seeds.shape[1])
        return vectors

    hits, _ = search_pool(search, vectors_of, anchors, retriever.config)
    found = np.zeros((len(seeds), len(anchors.embeddings)), dtype=bool)
    of_seeds = hits.ids >= FIRST_ID
    found[hits.ids[of_seeds] - FIRST_ID, hits.query[of_seeds]] = True
    return found


def with_seeds(pool: Neighbors, cosines: NDArray[np.float32], k: int) -> Neighbors:
    """Return the k nearest among the pool's rows and the seeds, which come first where equal.

    Args:
        pool: The k nearest rows of each of n queries.
        cosines: float32, (n, s), of the seeds.
        k: How many.
    """
    numbers = np.broadcast_to(np.arange(cosines.shape[1]) + FIRST_ID, cosines.shape)
    ids = np.concatenate([numbers, pool.ids], axis=1)
    scores = np.concatenate([cosines, np.where(pool.ids >= 0, pool.scores, -np.inf)], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(scores, order, axis=1).astype(np.float32)
    return Neighbors(nearest, np.take_along_axis(ids, order, axis=1))
