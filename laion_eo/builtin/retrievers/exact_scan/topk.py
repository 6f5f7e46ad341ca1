"""The best of many (query, row, score) triples, exact and with deterministic ties.

A triple is packed into one 64-bit key, so that sorting the keys as plain integers gives the order
wanted: queries ascending, within a query scores descending, and equal scores by ascending row::

     63          50 49                              18 17              0
    +--------------+----------------------------------+-----------------+
    |    query     |  score, so that lower is better  |       row       |
    |   14 bits    |             32 bits              |     18 bits     |
    +--------------+----------------------------------+-----------------+

Exact, because nothing is lost: all 32 bits of a float32 score are in the key, and queries and rows
that would not fit are never passed (:data:`MAX_ROWS`) or refused (:data:`MAX_QUERIES`).

Fast, because numpy sorts one array of integers several times faster than it sorts by three arrays,
and because the keys of a few queries are sorted apart from the rest: each such part fits a core's
cache, and the threads take one part each.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laion_eo.types import Neighbors

ROW_BITS = 18
SCORE_BITS = 32
MAX_ROWS = 1 << ROW_BITS
"""Rows that a key can tell apart."""
MAX_QUERIES = 1 << (64 - SCORE_BITS - ROW_BITS)
"""Queries that a key can tell apart."""
QUERIES_TOGETHER = 64
"""Queries whose candidates are sorted together."""
_QUERY_SHIFT = np.uint64(SCORE_BITS + ROW_BITS)
_SCORE_SHIFT = np.uint64(ROW_BITS)
_SIGN = np.uint32(1 << 31)

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Numbers = NDArray[np.int32]
"""Indices of queries or rows; half as wide as usual, because there are many at a time."""
Keys = NDArray[np.uint64]


class Hits(NamedTuple):
    """Pairs of a query and a row: int32 (m,), int32 (m,), and their scores, float32 (m,)."""

    queries: Numbers
    rows: Numbers
    scores: Floats

    def where(self, chosen: NDArray[np.bool_]) -> Hits:
        """Return the pairs where ``chosen``, (m,), is true."""
        return Hits(self.queries[chosen], self.rows[chosen], self.scores[chosen])


def pack(hits: Hits) -> Keys:
    """Return the key of each pair, uint64 (m,); see the module for the layout."""
    keys = hits.queries.astype(np.uint64) << _QUERY_SHIFT
    keys |= _pack_scores(hits.scores).astype(np.uint64) << _SCORE_SHIFT
    keys |= hits.rows.astype(np.uint64)
    return keys


def unpack(keys: Keys) -> Hits:
    """Return the pairs that :func:`pack` made keys of; a score of -0.0 comes back as 0.0."""
    queries = (keys >> _QUERY_SHIFT).astype(np.int32)
    rows = keys.astype(np.int32) & np.int32(MAX_ROWS - 1)  # the cast keeps the low 32 bits
    return Hits(queries, rows, _unpack_scores((keys >> _SCORE_SHIFT).astype(np.uint32)))


def _pack_scores(scores: Floats) -> NDArray[np.uint32]:
    """Return integers that ascend as the scores descend.

    The bits of positive floats, read as an integer, ascend as the floats do; those of negative
    floats descend, and have the highest bit set. Flipping the highest bit of the former and all
    bits of the latter gives integers that ascend with the scores; their complement descends::

        score        bits          ascending     descending
         1.0     0 01111111 0…   1 01111111 0…   0 10000000 1…
         0.0     0 00000000 0…   1 00000000 0…   0 11111111 1…
        -1.0     1 01111111 0…   0 10000000 1…   1 01111111 0…
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # the sum makes 0.0 of -0.0, which are equal
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return ~ascending


def _unpack_scores(descending: NDArray[np.uint32]) -> Floats:
    ascending = ~descending
    bits = np.where(ascending & _SIGN, ascending ^ _SIGN, ~ascending)
    return bits.view(np.float32)


class Candidates:
    """Scored pairs of queries and rows, to be ranked within each query.

    Args:
        queries: Number of queries, at most :data:`MAX_QUERIES`.
        threads: Executor of the sorting.

    Raises:
        ValueError: There are too many queries.
    """

    def __init__(self, queries: int, threads: Executor) -> None:
        if queries > MAX_QUERIES:
            raise ValueError(f"{queries} queries; Candidates take {MAX_QUERIES}")
        self._threads = threads
        # No key of a query is below this one, and every key of the query before it is.
        self._first_keys = np.arange(queries, dtype=np.uint64) << _QUERY_SHIFT
        # Part i has the sorted keys of the i-th QUERIES_TOGETHER queries.
        self._parts: list[Keys] = [np.empty(0, np.uint64)] * -(-queries // QUERIES_TOGETHER)
        self._unsorted: list[Keys] = []
        self.count = 0

    def add(self, hits: Hits) -> None:
        """Add pairs, each of them once.

        Args:
            hits: Queries in ascending order, rows below :data:`MAX_ROWS`, scores finite.
        """
        keys = pack(hits)
        self._unsorted.append(keys)
        self.count += len(keys)

    def scores_at(self, rank: int) -> Floats:
        """Return each query's score at a rank, (n,); -inf where a query has fewer pairs.

        Args:
            rank: 1 is the best.
        """
        scores = np.full(len(self._first_keys), -np.inf, np.float32)
        for part, keys in enumerate(self._sorted_parts()):
            first, stop = self._bounds(part)
            enough = np.flatnonzero(first + rank - 1 < stop)
            found = unpack(keys[first[enough] + rank - 1])
            scores[part * QUERIES_TOGETHER + enough] = found.scores
        return scores

    def split(self, count: int) -> tuple[Hits, Hits]:
        """Return the best ``count`` pairs of each query, and the others; queries ascend in both."""

        def split_part(part: int) -> tuple[Hits, Hits]:
            keys = self._parts[part]
            ahead = self._ranks(part) < count
            return unpack(keys[ahead]), unpack(keys[~ahead])

        parts = range(len(self._sorted_parts()))
        ahead, behind = zip(*self._threads.map(split_part, parts), strict=True)
        return joined(ahead), joined(behind)

    def keep(self, count: int) -> None:
        """Drop all but the best ``count`` pairs of each query."""
        for part, keys in enumerate(self._sorted_parts()):
            self._parts[part] = keys[self._ranks(part) < count]
        self.count = sum(map(len, self._parts))

    def best(self, k: int, first_id: int = 0) -> Neighbors:
        """Return the k best of each query, best first; -1 as the id where there are fewer.

        Args:
            k: Rows wanted of each query.
            first_id: Added to the rows to give ids.
        """
        scores = np.full((len(self._first_keys), k), -np.inf, np.float32)
        ids = np.full((len(self._first_keys), k), -1, np.int64)

        def write_part(part: int) -> None:
            ranks = self._ranks(part)
            ahead = ranks < k
            hits = unpack(self._parts[part][ahead])
            cells = hits.queries, ranks[ahead]
            scores[cells], ids[cells] = hits.scores, hits.rows.astype(np.int64) + first_id

        # A list, so that an exception in a thread is raised here.
        list(self._threads.map(write_part, range(len(self._sorted_parts()))))
        return Neighbors(scores, ids)

    def _sorted_parts(self) -> list[Keys]:
        """Return the sorted keys by parts, including all that was added.

        What was added is ascending by query, so that a binary search finds each part's share.
        """
        firsts = self._first_keys[::QUERIES_TOGETHER]
        bounds = [[*np.searchsorted(keys, firsts).tolist(), len(keys)] for keys in self._unsorted]

        def sort(part: int) -> None:
            new = [
                keys[bound[part] : bound[part + 1]]
                for keys, bound in zip(self._unsorted, bounds, strict=True)
            ]
            keys = np.concatenate([self._parts[part], *new])
            keys.sort()
            self._parts[part] = keys

        if self._unsorted:
            list(self._threads.map(sort, range(len(self._parts))))
            self._unsorted = []
        return self._parts

    def _bounds(self, part: int) -> tuple[Integers, Integers]:
        """Return where the keys of each query of a part begin and end."""
        keys = self._parts[part]
        here = self._first_keys[part * QUERIES_TOGETHER : (part + 1) * QUERIES_TOGETHER]
        first = np.searchsorted(keys, here)
        return first, np.append(first[1:], len(keys))

    def _ranks(self, part: int) -> Integers:
        """Return the rank of each key of a part within its query, 0 for the best."""
        first, stop = self._bounds(part)
        ranks: Integers = np.arange(len(self._parts[part])) - np.repeat(first, stop - first)
        return ranks


def joined(parts: Iterable[Hits]) -> Hits:
    """Return the pairs of all parts, in their order."""
    return Hits(*map(np.concatenate, zip(*parts, strict=True)))
