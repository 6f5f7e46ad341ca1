"""How many neighbours each query gets: k, k distinct ones, or more while they are good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laion_eo.pipeline.stages.search.hits import Floats, Hits, Integers, Search, VectorsOf
from laion_eo.types import Embeddings, Neighbors

BLOCK = 512
"""Neighbours of a query that are compared with each other together."""
VECTORS_TOGETHER = 1 << 16
"""Vectors of the pool in memory at a time, or those of one query: 200 MB at 768 dimensions."""


@dataclass(frozen=True)
class Depth:
    """What is wanted of each query.

    Attributes:
        k: Neighbours wanted.
        most: Neighbours asked for at most; at least k.
        distinct: Cosine from which two neighbours are near-duplicates, of which only the more
            similar one takes a place; ``None`` where copies may.
        until: Another k are wanted as long as at least this share of the last k is accepted.
        threshold: Score that a neighbour needs to be accepted.
    """

    k: int
    most: int
    distinct: float | None = None
    until: float | None = None
    threshold: float = np.inf

    def wanted(self, scores: Floats, deeper: bool) -> int:
        """Return how many neighbours a query gets, as far as those that are known can tell.

        Args:
            scores: float32, (h,), of its distinct neighbours, descending. Where more are wanted
                than there are, more must be asked for.
            deeper: Whether ``until`` counts for it.
        """
        wanted = self.k
        while (
            deeper
            and self.until is not None
            and wanted <= len(scores)
            and wanted < self.most
            and np.mean(scores[wanted - self.k : wanted] >= self.threshold) >= self.until
        ):
            wanted = min(wanted + self.k, self.most)
        return wanted


@dataclass(frozen=True)
class Found:
    """What a search to some depth found.

    Attributes:
        hits: Those that took a place.
        copies: int64, (c,), ascending: rows that were left out as near-duplicates.
        deeper: Queries that got more than k.
    """

    hits: Hits
    copies: Integers
    deeper: int


def search_deep(
    search: Search,
    queries: Embeddings,
    depth: Depth,
    may_go_deeper: NDArray[np.bool_],
    vectors_of: VectorsOf,
) -> Found:
    """Search until each query has what it is to get, or the pool or ``most`` is exhausted.

    Queries that lack something are asked again for twice as many: what a query gets does not depend
    on the others.

    Args:
        search: Finds the k nearest rows of queries.
        queries: float32, (n, dim), rows of length 1.
        depth: What each is to get.
        may_go_deeper: bool, (n,): the queries that ``until`` counts for.
        vectors_of: Returns the vectors of rows; only called with ``distinct``.
    """
    asked, active = depth.k, np.arange(len(queries))
    parts: list[Hits] = []
    copies: list[Integers] = []
    while len(active):
        found = search(queries[active], asked)
        unfinished = []
        for query, ids, scores, is_copy in _judged(found, active, depth.distinct, vectors_of):
            mine = np.flatnonzero(~is_copy)
            wanted = depth.wanted(scores[mine], bool(may_go_deeper[query]))
            if len(mine) < wanted and len(ids) == asked < depth.most:
                unfinished.append(query)
                continue
            mine = mine[:wanted]
            parts.append(Hits(np.full(len(mine), query), ids[mine], scores[mine]))
            last = int(mine[-1]) if len(mine) else -1
            copies.append(ids[:last][is_copy[:last]])
        active = np.array(unfinished, dtype=np.int64)
        asked = min(2 * asked, depth.most)
    hits = Hits.merged(parts)
    left_out = np.unique(np.concatenate([np.zeros(0, np.int64), *copies]))
    deeper = int((np.bincount(hits.query, minlength=1) > depth.k).sum())
    return Found(hits, np.setdiff1d(left_out, hits.ids), deeper)


def _judged(
    found: Neighbors, queries: Integers, distinct: float | None, vectors_of: VectorsOf
) -> Iterator[tuple[int, Integers, Floats, NDArray[np.bool_]]]:
    """Yield each query with its rows, their scores, and which of them are near-duplicates."""
    counts = (found.ids >= 0).sum(axis=1)
    if distinct is None:
        for place, count in enumerate(counts.tolist()):
            none = np.zeros(count, dtype=bool)
            yield int(queries[place]), found.ids[place, :count], found.scores[place, :count], none
        return
    together = max(1, VECTORS_TOGETHER // found.ids.shape[1])
    for start in range(0, len(queries), together):
        some = found.ids[start : start + together]
        known = np.unique(some[some >= 0])
        vectors = vectors_of(known)
        for place in range(start, start + len(some)):
            ids, scores = found.ids[place, : counts[place]], found.scores[place, : counts[place]]
            copy = copies_among(vectors[np.searchsorted(known, ids)], distinct)
            yield int(queries[place]), ids, scores, copy


def copies_among(vectors: Embeddings, cosine: float) -> NDArray[np.bool_]:
    """Tell which vectors are near-duplicates of an earlier one that is none itself.

    Args:
        vectors: float32, (m, dim), rows of length 1.
        cosine: From which two are near-duplicates.

    Returns:
        bool, (m,).
    """
    copy = np.zeros(len(vectors), dtype=bool)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        kept = vectors[:start][~copy[:start]]
        mine: NDArray[np.bool_] = np.any(block @ kept.T >= cosine, axis=1, keepdims=True)[:, 0]
        near = block @ block.T >= cosine
        for place in range(len(block)):
            if not mine[place]:
                mine[place + 1 :] |= near[place, place + 1 :]
        copy[start : start + BLOCK] = mine
    return copy
