"""Exact scores for the pairs that survive the cheap product.

The score of a query q and a row x is *the float32 nearest to their exact dot product*. It depends
on nothing else: not on the size of blocks, the engine, the device or the number of threads. Pairs
are summed in float64, and the few sums too close to a rounding boundary of float32 are summed
without any error.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.exact_scan.products import MAX_LENGTH, Floats
from laion_eo.types import Embeddings

ROWS_TOGETHER = 256
"""Rows that a thread gathers in one go: few enough for a core's cache, and enough that threads do
not wait for each other between the calls."""
COPIED_TOGETHER = 1 << 15
"""Numbers that torch copies with the calling thread alone; more, and it starts others."""


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
        return
    # From float16, 30 times as fast as numpy.
    source, target = torch.from_numpy(some), torch.from_numpy(out)
    each = max(1, COPIED_TOGETHER // max(1, out.shape[1]) - 1)
    for start in range(0, len(some), each):
        target[start : start + each].copy_(source[start : start + each])


class ExactScores:
    """Correctly rounded scores of chosen pairs; any number of threads may ask.

    Args:
        queries: float32, (n, dim).
    """

    def __init__(self, queries: Embeddings) -> None:
        self._wide = queries.astype(np.float64)
        self._doubt = queries.shape[1] * 2.0**-52 * MAX_LENGTH**2

    def __call__(
        self, vectors: NDArray[np.floating], query: int, places: NDArray[np.int64]
    ) -> Floats:
        """Return float32 scores, (m,).

        Args:
            vectors: (rows, dim), of length at most :data:`MAX_LENGTH`; rounded to float32.
            query: Which query.
            places: int64, (m,): which rows.
        """
        narrow = np.empty((min(ROWS_TOGETHER, len(places)), vectors.shape[1]), np.float32)
        wide = np.empty(narrow.shape, np.float64)
        sums = np.empty(len(places), np.float64)
        for start in range(0, len(places), ROWS_TOGETHER):
            chosen = places[start : start + ROWS_TOGETHER]
            count = len(chosen)
            gather(vectors, chosen, narrow[:count])
            wide[:count] = narrow[:count]
            np.dot(wide[:count], self._wide[query], out=sums[start : start + count])
        rounded = sums.astype(np.float32)
        # A sum whose error could change the outcome is made again, without any.
        below, above = sums - self._doubt, sums + self._doubt
        for i in np.flatnonzero(below.astype(np.float32) != above.astype(np.float32)):
            # A product of two float32 is exact in float64, and fsum adds without error.
            row = vectors[places[i]].astype(np.float32)
            rounded[i] = np.float32(math.fsum(self._wide[query] * row))
        return rounded
