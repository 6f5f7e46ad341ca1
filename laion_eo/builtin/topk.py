"""A running top k, exact and with deterministic ties: equal scores go to the lower row.

A (query, score, row) triple is packed into one 64-bit key whose plain order is the order wanted:
by query, then descending score, then ascending row. Sorting plain integers is several times faster
than sorting by three arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laion_eo.types import Neighbors

ROW_BITS = 18
MAX_ROWS = 1 << ROW_BITS
"""Rows that one :class:`TopK` can tell apart."""
MAX_QUERIES = 1 << (64 - 32 - ROW_BITS)
"""Queries that one :class:`TopK` can tell apart."""
_SIGN = np.uint32(1 << 31)

Keys = NDArray[np.uint64]


def _descending(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Map scores to integers that ascend as the scores descend; -0.0 counts as 0.0."""
    bits = (scores + np.float32(0)).view(np.uint32)
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return ~ascending


def _scores(descending: NDArray[np.uint32]) -> NDArray[np.float32]:
    ascending = ~descending
    return np.where(ascending & _SIGN, ascending ^ _SIGN, ~ascending).view(np.float32)


class TopK:
    """The k best of each query among the triples added so far.

    Args:
        queries: Number of queries, at most :data:`MAX_QUERIES`.
        k: Neighbours kept for each.
    """

    def __init__(self, queries: int, k: int) -> None:
        if queries > MAX_QUERIES:
            raise ValueError(f"{queries} queries; one TopK takes {MAX_QUERIES}")
        self._queries = queries
        self._k = k
        self._kept: Keys = np.empty(0, np.uint64)
        self._waiting: list[Keys] = []
        self._count = 0

    def add(
        self,
        queries: NDArray[np.int64],
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> None:
        """Take m triples, each (query, row) once.

        Args:
            queries: int64, (m,), 0 to the number of queries.
            rows: int64, (m,), 0 to :data:`MAX_ROWS`.
            scores: float32, (m,), finite.
        """
        keys = queries.astype(np.uint64) << np.uint64(32 + ROW_BITS)
        keys |= _descending(scores).astype(np.uint64) << np.uint64(ROW_BITS)
        keys |= rows.astype(np.uint64)
        self._waiting.append(keys)
        self._count += len(keys)
        if self._count > 2 * self._k * self._queries + (1 << 20):
            self._settle()

    def _settle(self) -> NDArray[np.int64]:
        """Sort everything and drop what is past the k-th; return each query's first place."""
        if self._waiting:
            keys = np.sort(np.concatenate([self._kept, *self._waiting]))
            owner = (keys >> np.uint64(32 + ROW_BITS)).astype(np.int64)
            first = np.searchsorted(owner, np.arange(self._queries))
            self._kept = keys[np.arange(len(keys)) - first[owner] < self._k]
            self._waiting, self._count = [], 0
        owner = (self._kept >> np.uint64(32 + ROW_BITS)).astype(np.int64)
        return np.searchsorted(owner, np.arange(self._queries + 1))

    def rank(self, place: int) -> NDArray[np.float32]:
        """Return each query's score at a place (1 is the best, k the last kept); -inf if fewer.

        Args:
            place: 1 to k.
        """
        first = self._settle()
        scores = np.full(self._queries, -np.inf, np.float32)
        there = first[:-1] + place - 1 < first[1:]
        keys = self._kept[first[:-1][there] + place - 1]
        scores[there] = _scores((keys >> np.uint64(ROW_BITS)).astype(np.uint32))
        return scores

    def result(self, first_id: int = 0) -> Neighbors:
        """Return the k best of each query, best first.

        Args:
            first_id: Added to the rows to give ids.
        """
        first = self._settle()
        shape = (self._queries, self._k)
        scores, ids = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
        owner = (self._kept >> np.uint64(32 + ROW_BITS)).astype(np.int64)
        rank = np.arange(len(owner)) - first[owner]
        scores[owner, rank] = _scores((self._kept >> np.uint64(ROW_BITS)).astype(np.uint32))
        rows = self._kept & np.uint64(MAX_ROWS - 1)
        ids[owner, rank] = rows.astype(np.int64) + first_id
        return Neighbors(scores, ids)
