"""The nearest of the vectors kept so far, without comparing all pairs.

Vectors come one after the other, the best first; each is asked whether a kept one is near it, and
kept or not. A few of them, none near another, are drawn as pivots; every kept vector lies in the
cell of its nearest pivot, and a vector is compared with what the cells of its nearest pivots hold.
For n vectors there are about 2 √n cells, so that the work grows as n √n; up to :data:`EXACT_ROWS`
vectors there is one cell, which is exact. What dense places cost stays small, since of a hundred
thousand copies one is kept, and pairs are never listed.
"""

from __future__ import annotations

from math import isqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

EXACT_ROWS = 32_768
"""So many vectors are compared with every kept one."""
PROBES = 16
"""Cells that a vector is compared with, where there are more."""
BLOCK = 4096
"""Vectors compared at a time: among each other, and with what was kept before them."""
Vectors: TypeAlias = NDArray[np.float16] | NDArray[np.float32]
Places: TypeAlias = NDArray[np.int64]


class NearestKept:
    """Kept vectors, found by their nearness.

    Args:
        vectors: float16 or float32, (rows, dim).
        order: int64, (n,): the rows that will be asked about, in this order; none of length 0.
        cosine: Least cosine that counts as near.
    """

    def __init__(self, vectors: Vectors, order: Places, cosine: float) -> None:
        self._vectors = vectors
        self._order = order
        self._cosine = cosine
        self._rank = np.full(len(vectors), -1, dtype=np.int64)
        self._rank[order] = np.arange(len(order))
        self._pivots = self._draw_pivots()
        self._cells: list[list[int]] = [[] for _ in self._pivots]
        self._block = -1

    def nearest(self, place: int) -> tuple[int, float] | None:
        """Return the kept place that is nearest to this one, and the cosine; ``None``: none near.

        Args:
            place: Not before the last one that was asked about, in the order.
        """
        number = self._enter(place)
        here = np.where(self._kept[:number], self._inside[number, :number], -1.0)
        found, cosine = int(self._found[number]), float(self._best[number])
        if len(here) and here.max() > cosine:
            nearest = int(here.argmax())
            found, cosine = int(self._places[nearest]), float(here[nearest])
        return (found, cosine) if cosine >= self._cosine else None

    def keep(self, place: int) -> None:
        """Keep this place; not before the last one that was asked about."""
        number = self._enter(place)
        self._kept[number] = True
        self._cells[self._home[number]].append(place)

    def _enter(self, place: int) -> int:
        """Return the place's number in its block, after preparing that block."""
        block, number = divmod(int(self._rank[place]), BLOCK)
        if block != self._block:
            self._block = block
            self._prepare(self._order[block * BLOCK : (block + 1) * BLOCK])
        return number

    def _prepare(self, places: Places) -> None:
        rows = self._unit(places)
        self._places = places
        self._kept = np.zeros(len(places), dtype=bool)
        self._inside = rows @ rows.T
        nearness = rows @ self._pivots.T
        self._home = nearness.argmax(axis=1)
        self._best = np.full(len(places), -1.0, dtype=np.float32)
        self._found = np.full(len(places), -1, dtype=np.int64)
        probed = np.argpartition(-nearness, min(PROBES, len(self._pivots)) - 1, axis=1)[:, :PROBES]
        asking, cell = np.repeat(np.arange(len(places)), probed.shape[1]), probed.ravel()
        by_cell = np.argsort(cell, kind="stable")
        ends = np.searchsorted(cell[by_cell], np.arange(len(self._pivots) + 1))
        for number, kept in enumerate(self._cells):
            who = asking[by_cell[ends[number] : ends[number + 1]]]
            if kept and len(who):
                self._compare(rows, who, np.array(kept, dtype=np.int64))

    def _compare(self, rows: NDArray[np.float32], who: Places, kept: Places) -> None:
        """Compare some rows of the block with what a cell holds."""
        for start in range(0, len(kept), BLOCK):
            some = kept[start : start + BLOCK]
            cosines = rows[who] @ self._unit(some).T
            nearest = cosines.argmax(axis=1)
            best = cosines[np.arange(len(who)), nearest]
            better = best > self._best[who]
            self._best[who[better]] = best[better]
            self._found[who[better]] = some[nearest[better]]

    def _unit(self, places: Places) -> NDArray[np.float32]:
        rows = self._vectors[places].astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def _draw_pivots(self) -> NDArray[np.float32]:
        rows = len(self._order)
        count = 1 if rows <= EXACT_ROWS else 2 * isqrt(rows)
        drawn = np.random.default_rng(0).choice(rows, min(rows, count), replace=False)
        pivots = self._unit(self._order[np.sort(drawn)])
        # Two pivots in one dense place would part copies from each other.
        near = np.triu(pivots @ pivots.T >= self._cosine, k=1)
        apart = np.ones(len(pivots), dtype=bool)
        for number in range(len(pivots)):
            if apart[number]:
                apart &= ~near[number]
        return pivots[apart]
