"""The best of many (query, row, score) triples, exact and with deterministic ties.

Equal scores go to the lower row. Triples are packed into 64-bit keys whose plain order is the order
wanted: descending score, then ascending row. Sorting plain integers is several times faster than
sorting by several arrays.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from laion_eo.types import Neighbors

ROW_BITS = 18
MAX_ROWS = 1 << ROW_BITS
"""Rows that :class:`Candidates` can tell apart."""
MAX_QUERIES = 1 << (64 - 32 - ROW_BITS)
"""Queries that :class:`Candidates` can tell apart."""
QUERIES_TOGETHER = 64
"""Queries whose candidates are sorted together."""
_QUERY = np.uint64(32 + ROW_BITS)
_ROW = np.uint64(ROW_BITS)
_SIGN = np.uint32(1 << 31)
_NONE = np.uint64(2**64 - 1)
"""Sorts after every key."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Keys = NDArray[np.uint64]


def _descending(scores: Floats) -> NDArray[np.uint32]:
    """Map scores to integers that ascend as the scores descend; -0.0 counts as 0.0."""
    bits = (scores + np.float32(0)).view(np.uint32)
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return ~ascending


def _scores(descending: NDArray[np.uint32]) -> Floats:
    ascending = ~descending
    return np.where(ascending & _SIGN, ascending ^ _SIGN, ~ascending).view(np.float32)


class Candidates:
    """Pairs of queries and rows with their cheap scores, to be ranked.

    Args:
        queries: Number of queries, at most :data:`MAX_QUERIES`.
        threads: Who sorts.
    """

    def __init__(self, queries: int, threads: Executor) -> None:
        if queries > MAX_QUERIES:
            raise ValueError(f"{queries} queries; Candidates take {MAX_QUERIES}")
        self._threads = threads
        self._starts = np.arange(queries, dtype=np.uint64) << _QUERY
        # Sorted by parts, each of a few queries: by all threads, and in their caches.
        self._sorted: list[Keys] = [np.empty(0, np.uint64)] * -(-queries // QUERIES_TOGETHER)
        self._first: Integers = np.zeros(queries, np.int64)
        self._stop: Integers = np.zeros(queries, np.int64)
        self._waiting: list[Keys] = []
        self.count = 0

    def add(self, queries: Integers, rows: Integers, scores: Floats) -> None:
        """Take m triples, each (query, row) once.

        Args:
            queries: int64, (m,), 0 to the number of queries, ascending.
            rows: int64, (m,), 0 to :data:`MAX_ROWS`.
            scores: float32, (m,), finite.
        """
        keys = queries.astype(np.uint64) << _QUERY
        keys |= _descending(scores).astype(np.uint64) << _ROW
        keys |= rows.astype(np.uint64)
        self._waiting.append(keys)
        self.count += len(keys)

    def sort(self) -> None:
        """Rank all that was added."""
        firsts = self._starts[::QUERIES_TOGETHER]
        bounds = [[*np.searchsorted(keys, firsts).tolist(), len(keys)] for keys in self._waiting]

        def sort(part: int) -> None:
            new = [k[b[part] : b[part + 1]] for k, b in zip(self._waiting, bounds, strict=True)]
            keys = np.concatenate([self._sorted[part], *new])
            keys.sort()
            here = slice(part * QUERIES_TOGETHER, (part + 1) * QUERIES_TOGETHER)
            first = np.searchsorted(keys, self._starts[here])
            self._first[here], self._stop[here] = first, np.append(first[1:], len(keys))
            self._sorted[part] = keys

        if self._waiting:
            list(self._threads.map(sort, range(len(self._sorted))))
            self._waiting = []

    def rank(self, place: int) -> Floats:
        """Return each query's score at a place (1 is the best); -inf where there are fewer."""
        self.sort()
        scores = np.full(len(self._starts), -np.inf, np.float32)
        there = np.flatnonzero(self._first + place - 1 < self._stop)
        at = (self._first[there] + place - 1).tolist()
        parts = (there // QUERIES_TOGETHER).tolist()
        keys = np.array([self._sorted[p][i] for p, i in zip(parts, at, strict=True)], np.uint64)
        scores[there] = _scores((keys >> _ROW).astype(np.uint32))
        return scores

    def of(self, query: int) -> tuple[Integers, Floats]:
        """Return the rows of one query, and their scores, best first; after :meth:`sort`."""
        part = self._sorted[query // QUERIES_TOGETHER]
        keys = part[self._first[query] : self._stop[query]]
        rows = (keys & np.uint64(MAX_ROWS - 1)).astype(np.int64)
        return rows, _scores((keys >> _ROW).astype(np.uint32))


class TopK:
    """The k best rows of each query so far.

    Threads may add to different queries at the same time.

    Args:
        queries: Number of queries.
        k: Rows kept for each.
    """

    def __init__(self, queries: int, k: int) -> None:
        self._keys = np.full((queries, k), _NONE, np.uint64)

    def add(self, query: int, rows: Integers, scores: Floats) -> None:
        """Take rows of one query.

        Args:
            query: Its number.
            rows: int64, (m,), 0 to 2³²: each once.
            scores: float32, (m,), finite.
        """
        mine = self._keys[query]
        keys = _descending(scores).astype(np.uint64) << np.uint64(32)
        keys |= rows.astype(np.uint64)
        if mine[0] != _NONE or len(keys) < len(mine):
            keys = np.concatenate([mine, keys])
        keys.sort()
        mine[:] = keys[: len(mine)]

    def worst(self, query: int) -> float:
        """Return the k-th best score of one query so far; -inf where there are fewer."""
        return float(self._unpacked(self._keys[query, -1:])[0])

    @staticmethod
    def _unpacked(keys: Keys) -> Floats:
        scores = _scores((keys >> np.uint64(32)).astype(np.uint32))
        scores[keys == _NONE] = -np.inf
        return scores

    def result(self, first_id: int = 0) -> Neighbors:
        """Return the k best of each query, best first.

        Args:
            first_id: Added to the rows to give ids.
        """
        ids = (self._keys & np.uint64(0xFFFFFFFF)).astype(np.int64) + first_id
        ids[self._keys == _NONE] = -1
        return Neighbors(self._unpacked(self._keys), ids)
