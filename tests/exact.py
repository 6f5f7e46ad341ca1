"""Dot products without rounding, to compare scores with."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def nearest_float32(query: NDArray[np.floating], row: NDArray[np.floating]) -> np.float32:
    """Return the float32 nearest to the exact dot product; of two, the one with an even last bit.

    Args:
        query: (dim,).
        row: (dim,).
    """
    pairs = zip(query.tolist(), row.tolist(), strict=True)
    exact = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    close = np.float32(float(exact))
    around = [close, *(np.nextafter(close, np.float32(end)) for end in (-np.inf, np.inf))]

    def distance(value: np.float32) -> tuple[Fraction, int]:
        return abs(Fraction(float(value)) - exact), int(value.view(np.int32)) & 1

    return min(around, key=distance)
