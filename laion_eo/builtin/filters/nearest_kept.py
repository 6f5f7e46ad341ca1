"""The nearest of the vectors kept so far, without comparing all pairs.

Vectors come one after another, the best first. For each the caller asks which kept vector is the
nearest, if any is near, and then keeps the new one or not.

Up to :data:`EXACT_ROWS` vectors, each is compared with all that are kept, which is exact. Beyond
that, about 2 √n of the vectors, none of them near another, are drawn as pivots. Every kept vector
belongs to the cell of its nearest pivot, and a vector is compared with the members of the cells of
its nearest pivots only. A near vector is missed where its cell is not among these; of copies, which
have nearly the same nearest pivots, that is a few in a thousand.

Fast, because vectors are compared a block at a time, by matrix products; with 2 √n cells of about
√n / 2 members the work grows as n √n. Crowds cost little: of a hundred thousand copies one is kept,
and pairs are never listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

EXACT_ROWS = 32_768
Vectors: TypeAlias = NDArray[np.float16] | NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """How much is compared.

    Attributes:
        exact_rows: Up to so many vectors, each is compared with every kept one.
        probes: Cells that a vector is compared with, where there are more.
        block: Vectors that are compared together: with each other, and with what was kept before.
    """

    exact_rows: int = EXACT_ROWS
    probes: int = 16
    block: int = 4096


LIMITS = Limits()


class NearestKept:
    """Kept vectors, searched by nearness.

    Args:
        vectors: float16 or float32, (rows, dim).
        order: int64, (n,): the row indices that will be asked about, in this order; none of a
            vector of length 0.
        cosine: Least cosine that counts as near.
        limits: How much is compared.

    Attributes:
        compared: Pairs of a vector and a kept one of an earlier block that were compared.
    """

    def __init__(
        self, vectors: Vectors, order: Rows, cosine: float, limits: Limits = LIMITS
    ) -> None:
        self._vectors = vectors
        self._order = order
        self._cosine = cosine
        self._limits = limits
        self._position = np.full(len(vectors), -1, dtype=np.int64)
        self._position[order] = np.arange(len(order))
        self._pivots = self._draw_pivots()
        self._cells: list[list[int]] = [[] for _ in self._pivots]
        self._block = -1
        self.compared = 0

    def nearest(self, row: int) -> tuple[int, float] | None:
        """Return the kept row that is nearest to this one, and their cosine.

        Args:
            row: Row index; in the order, not before the last one that was asked about.

        Returns:
            ``None`` if no kept row is near.
        """
        here = self._enter(row)
        # Of this block, only what was kept counts; of earlier blocks the best is known already.
        cosines = np.where(self._kept[:here], self._inside[here, :here], -1.0)
        found, cosine = int(self._found[here]), float(self._best[here])
        if len(cosines) and cosines.max() > cosine:
            nearest = int(cosines.argmax())
            found, cosine = int(self._rows[nearest]), float(cosines[nearest])
        return (found, cosine) if cosine >= self._cosine else None

    def keep(self, row: int) -> None:
        """Keep this row; in the order, not before the last one that was asked about."""
        here = self._enter(row)
        self._kept[here] = True
        self._cells[self._home[here]].append(row)

    def _enter(self, row: int) -> int:
        """Return the row's position in its block, after preparing that block."""
        block, here = divmod(int(self._position[row]), self._limits.block)
        if block != self._block:
            self._block = block
            start = block * self._limits.block
            self._prepare(self._order[start : start + self._limits.block])
        return here

    def _prepare(self, rows: Rows) -> None:
        """Compare a block with itself, and with the cells of each vector's nearest pivots."""
        vectors = self._unit(rows)
        self._rows = rows
        self._kept = np.zeros(len(rows), dtype=bool)
        self._inside = vectors @ vectors.T
        nearness = vectors @ self._pivots.T
        self._home = nearness.argmax(axis=1)
        self._best = np.full(len(rows), -1.0, dtype=np.float32)
        self._found = np.full(len(rows), -1, dtype=np.int64)
        # (vector, cell) for the nearest pivots of each vector, sorted by cell, so that each cell is
        # compared with all vectors that probe it in one matrix product.
        probes = min(self._limits.probes, len(self._pivots))
        probed = np.argpartition(-nearness, probes - 1, axis=1)[:, :probes]
        asking, cells = np.repeat(np.arange(len(rows)), probes), probed.ravel()
        by_cell = np.argsort(cells, kind="stable")
        ends = np.searchsorted(cells[by_cell], np.arange(len(self._pivots) + 1))
        for cell, kept in enumerate(self._cells):
            probing = asking[by_cell[ends[cell] : ends[cell + 1]]]
            if kept and len(probing):
                self._compare(vectors, probing, np.array(kept, dtype=np.int64))

    def _compare(self, vectors: NDArray[np.float32], probing: Rows, kept: Rows) -> None:
        """Compare some vectors of the block with the members of a cell."""
        self.compared += len(probing) * len(kept)
        for start in range(0, len(kept), self._limits.block):
            some = kept[start : start + self._limits.block]
            cosines = vectors[probing] @ self._unit(some).T
            nearest = cosines.argmax(axis=1)
            best = cosines[np.arange(len(probing)), nearest]
            better = best > self._best[probing]
            self._best[probing[better]] = best[better]
            self._found[probing[better]] = some[nearest[better]]

    def _unit(self, rows: Rows) -> NDArray[np.float32]:
        vectors = self._vectors[rows].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / lengths, dtype=np.float32)

    def _draw_pivots(self) -> NDArray[np.float32]:
        rows = len(self._order)
        count = 1 if rows <= self._limits.exact_rows else 2 * isqrt(rows)
        drawn = np.random.default_rng(0).choice(rows, min(rows, count), replace=False)
        pivots = self._unit(self._order[np.sort(drawn)])
        # Of pivots that are near each other one stays: two in one crowd would part its copies.
        near = np.triu(pivots @ pivots.T >= self._cosine, k=1)
        apart = np.ones(len(pivots), dtype=bool)
        for pivot in range(len(pivots)):
            if apart[pivot]:
                apart &= ~near[pivot]
        return pivots[apart]
