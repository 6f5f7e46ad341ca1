"""A running top k over blocks of scores, exact and with deterministic ties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laion_eo.types import Neighbors

COMPACT_AT = 4_000_000
"""Entries that wait before they are sorted in: about 64 MB."""


class RunningTopK:
    """The k best of each query so far; equal scores go to the lower id.

    Blocks must come in the order of their ids. Only scores above a query's k-th best wait to be
    sorted in, which after the first blocks are few.

    Args:
        queries: Number of queries, n.
        k: Neighbours kept for each.
    """

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._floor = np.full(queries, -np.inf, dtype=np.float32)
        self._rows: list[NDArray[np.int64]] = []
        self._ids: list[NDArray[np.int64]] = []
        self._scores: list[NDArray[np.float32]] = []
        self._waiting = 0

    def add(self, scores: NDArray[np.float32], first_id: int) -> None:
        """Take the scores of one block.

        Args:
            scores: float32, (n, rows of the block).
            first_id: The id of the block's first row; higher than all ids before.
        """
        # Strictly above: an equal score of a higher id loses the tie.
        rows, columns = np.nonzero(scores > self._floor[:, None])
        self._rows.append(rows)
        self._ids.append(columns + first_id)
        self._scores.append(scores[rows, columns])
        self._waiting += len(rows)
        if self._waiting > max(COMPACT_AT, 2 * self._k * len(self._floor)):
            self._compact()

    def _compact(self) -> None:
        rows, ids = np.concatenate(self._rows), np.concatenate(self._ids)
        scores = np.concatenate(self._scores)
        order = np.lexsort((ids, -scores, rows))
        rows, ids, scores = rows[order], ids[order], scores[order]
        first = np.searchsorted(rows, np.arange(len(self._floor)))
        rank = np.arange(len(rows)) - first[rows]
        kept = rank < self._k
        self._rows, self._ids, self._scores = [rows[kept]], [ids[kept]], [scores[kept]]
        self._waiting = 0
        last = rank == self._k - 1
        self._floor[rows[last]] = scores[last]

    def result(self) -> Neighbors:
        """Return the k best of each query, best first."""
        shape = (len(self._floor), self._k)
        scores = np.full(shape, -np.inf, dtype=np.float32)
        ids = np.full(shape, -1, dtype=np.int64)
        if self._rows:
            self._compact()
            rows = self._rows[0]
            first = np.searchsorted(rows, np.arange(len(self._floor)))
            rank = np.arange(len(rows)) - first[rows]
            scores[rows, rank], ids[rows, rank] = self._scores[0], self._ids[0]
        return Neighbors(scores, ids)
