"""The best of many (query, row, score) triples, exact and with deterministic ties.

Equal scores go to the lower row. Triples are packed into 64-bit keys whose plain order is the order
wanted: ascending query, descending score, ascending row. Sorting plain integers is several times
faster than sorting by several arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import NamedTuple

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

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Numbers = NDArray[np.int32]
"""Of queries or rows: many at a time, hence half as wide."""
Keys = NDArray[np.uint64]


def _descending(scores: Floats) -> NDArray[np.uint32]:
    """Map scores to integers that ascend as the scores descend; -0.0 counts as 0.0."""
    bits = (scores + np.float32(0)).view(np.uint32)
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return ~ascending


def _scores(descending: NDArray[np.uint32]) -> Floats:
    ascending = ~descending
    return np.where(ascending & _SIGN, ascending ^ _SIGN, ~ascending).view(np.float32)


class Hits(NamedTuple):
    """Pairs of a query and a row: int32 (m,), int32 (m,), and their scores, float32 (m,)."""

    queries: Numbers
    rows: Numbers
    scores: Floats

    def where(self, chosen: NDArray[np.bool_]) -> Hits:
        """Return some of them."""
        return Hits(self.queries[chosen], self.rows[chosen], self.scores[chosen])


class Candidates:
    """Scored pairs of queries and rows, to be ranked.

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
        self._waiting: list[Keys] = []
        self.count = 0

    def add(self, hits: Hits) -> None:
        """Take pairs, each once.

        Args:
            hits: Queries in ascending order, rows below :data:`MAX_ROWS`, scores finite.
        """
        keys = hits.queries.astype(np.uint64) << _QUERY
        keys |= _descending(hits.scores).astype(np.uint64) << _ROW
        keys |= hits.rows.astype(np.uint64)
        self._waiting.append(keys)
        self.count += len(keys)

    def rank(self, place: int) -> Floats:
        """Return each query's score at a place (1 is the best); -inf where there are fewer."""
        scores = np.full(len(self._starts), -np.inf, np.float32)
        for part, keys in enumerate(self._ranked()):
            first, stop = self._bounds(part, keys)
            there = np.flatnonzero(first + place - 1 < stop)
            scores[part * QUERIES_TOGETHER + there] = _hits(keys[first[there] + place - 1]).scores
        return scores

    def split(self, place: int) -> tuple[Hits, Hits]:
        """Return the best of each query, down to a place, and the others; queries ascending."""

        def split(part: int) -> tuple[Hits, Hits]:
            keys = self._sorted[part]
            ahead = self._places(part) < place
            return _hits(keys[ahead]), _hits(keys[~ahead])

        ahead, behind = zip(*self._threads.map(split, range(len(self._ranked()))), strict=True)
        return joined(ahead), joined(behind)

    def keep(self, place: int) -> None:
        """Forget what is behind a place of its query."""
        for part, keys in enumerate(self._ranked()):
            self._sorted[part] = keys[self._places(part) < place]
        self.count = sum(map(len, self._sorted))

    def best(self, k: int, first_id: int = 0) -> Neighbors:
        """Return the k best of each query, best first; -1 as the id where there are fewer.

        Args:
            k: Rows wanted of each query.
            first_id: Added to the rows to give ids.
        """
        scores = np.full((len(self._starts), k), -np.inf, np.float32)
        ids = np.full((len(self._starts), k), -1, np.int64)

        def unpack(part: int) -> None:
            places = self._places(part)
            ahead = places < k
            hits = _hits(self._sorted[part][ahead])
            there = hits.queries, places[ahead]
            scores[there], ids[there] = hits.scores, hits.rows.astype(np.int64) + first_id

        list(self._threads.map(unpack, range(len(self._ranked()))))
        return Neighbors(scores, ids)

    def _ranked(self) -> list[Keys]:
        """Return the sorted keys by parts, with all that was added."""
        firsts = self._starts[::QUERIES_TOGETHER]
        bounds = [[*np.searchsorted(keys, firsts).tolist(), len(keys)] for keys in self._waiting]

        def sort(part: int) -> None:
            new = [k[b[part] : b[part + 1]] for k, b in zip(self._waiting, bounds, strict=True)]
            keys = np.concatenate([self._sorted[part], *new])
            keys.sort()
            self._sorted[part] = keys

        if self._waiting:
            list(self._threads.map(sort, range(len(self._sorted))))
            self._waiting = []
        return self._sorted

    def _bounds(self, part: int, keys: Keys) -> tuple[Integers, Integers]:
        """Return where each query of a part begins and ends."""
        here = self._starts[part * QUERIES_TOGETHER : (part + 1) * QUERIES_TOGETHER]
        first = np.searchsorted(keys, here)
        return first, np.append(first[1:], len(keys))

    def _places(self, part: int) -> Integers:
        """Return the place of each key of a part within its query, 0 for the best."""
        first, stop = self._bounds(part, self._sorted[part])
        places: Integers = np.arange(len(self._sorted[part])) - np.repeat(first, stop - first)
        return places


def _hits(keys: Keys) -> Hits:
    rows = keys.astype(np.int32) & np.int32(MAX_ROWS - 1)
    scores = _scores((keys >> _ROW).astype(np.uint32))
    return Hits((keys >> _QUERY).astype(np.int32), rows, scores)


def joined(parts: Iterable[Hits]) -> Hits:
    """Return all pairs of some parts, in their order."""
    return Hits(*map(np.concatenate, zip(*parts, strict=True)))
