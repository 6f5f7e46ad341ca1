"""Exact scores for the pairs that survive the cheap product.

The score of a query q and a row x is *the float32 nearest to their exact dot product*. It depends
on nothing else: not on the size of blocks, the engine, the device or the number of threads. Pairs
are summed in float64, and the few sums too close to a rounding boundary of float32 are summed
without any error.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.exact_scan.products import MAX_LENGTH, Floats
from laion_eo.types import Embeddings

ROWS_TOGETHER = 512
"""Rows that a thread gathers in one go: few enough for a core's cache, and enough that threads do
not wait for each other between the calls."""


def gather(vectors: NDArray[np.floating], places: NDArray[np.int64], out: Floats) -> None:
    """Copy rows into float32, (m, dim).

    Args:
        vectors: (rows, dim), of any float.
        places: int64, (m,): which rows.
        out: float32, (m, dim).
    """
    if vectors.dtype == np.float32:
        # "clip" lets numpy write into the array at once; no place is out of range.
        vectors.take(places, axis=0, out=out, mode="clip")
        return
    some = vectors.take(places, axis=0)
    try:
        import torch
    except ImportError:
        out[:] = some
    else:  # from float16, 30 times as fast as numpy
        torch.from_numpy(out).copy_(torch.from_numpy(some))


def _sums() -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """Return the product of a matrix and a vector.

    torch's where there is torch: numpy's lets one thread wait for another, as its BLAS has threads
    of its own.
    """
    try:
        import torch
    except ImportError:
        return np.dot

    def product(rows: NDArray[np.float64], query: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = torch.mv(
            torch.from_numpy(rows), torch.from_numpy(query)
        ).numpy()
        return found

    return product


class ExactScores:
    """Correctly rounded scores of chosen pairs; any number of threads may ask.

    Args:
        queries: float32, (n, dim).
    """

    def __init__(self, queries: Embeddings) -> None:
        self._wide = queries.astype(np.float64)
        self._doubt = queries.shape[1] * 2.0**-52 * MAX_LENGTH**2
        self._local = threading.local()
        self._sums = _sums()

    def __call__(
        self, vectors: NDArray[np.floating], query: int, places: NDArray[np.int64]
    ) -> Floats:
        """Return float32 scores, (m,).

        Args:
            vectors: (rows, dim), of length at most :data:`MAX_LENGTH`; rounded to float32.
            query: Which query.
            places: int64, (m,): which rows.
        """
        narrow, wide = self._buffers()
        sums = np.empty(len(places), np.float64)
        for start in range(0, len(places), ROWS_TOGETHER):
            chosen = places[start : start + ROWS_TOGETHER]
            count = len(chosen)
            gather(vectors, chosen, narrow[:count])
            wide[:count] = narrow[:count]
            sums[start : start + count] = self._sums(wide[:count], self._wide[query])
        rounded = sums.astype(np.float32)
        # A sum whose error could change the outcome is made again, without any.
        below, above = sums - self._doubt, sums + self._doubt
        for i in np.flatnonzero(below.astype(np.float32) != above.astype(np.float32)):
            # A product of two float32 is exact in float64, and fsum adds without error.
            row = vectors[places[i]].astype(np.float32)
            rounded[i] = np.float32(math.fsum(self._wide[query] * row))
        return rounded

    def _buffers(self) -> tuple[Floats, NDArray[np.float64]]:
        """Return this thread's own: new ones for each query would cost as much as the sums."""
        if not hasattr(self._local, "buffers"):
            shape = (ROWS_TOGETHER, self._wide.shape[1])
            self._local.buffers = np.empty(shape, np.float32), np.empty(shape, np.float64)
        buffers: tuple[Floats, NDArray[np.float64]] = self._local.buffers
        return buffers
