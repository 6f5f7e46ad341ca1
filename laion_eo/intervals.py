"""Intervals of shares: Wilson's, with his continuity correction, for samples with weights too.

The correction makes an interval hold at least as often as it says, for few labels and for shares
near 1 too (Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method 4).
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
MOST = 10_000_000
"""Labels beyond which nobody is told how many more are needed."""


def quantile(confidence: float, sides: int = 2) -> float:
    """Return how many standard deviations an interval reaches to each side.

    Args:
        confidence: How often it is to hold: 0..1.
        sides: 2, or 1 for a bound on one side alone.
    """
    return NormalDist().inv_cdf(1 - (1 - confidence) / sides)


def share_interval(
    share: float, count: float, confidence: float = 0.9, of: float | None = None
) -> Interval:
    """Return the interval of a share.

    Args:
        share: As it was found, 0..1.
        count: In how many, drawn at random; for a sample with weights, :func:`effective`.
        confidence: How often the interval is to hold: 0..1.
        of: How many there are in all, if they are few: of all of them, the share is known.
    """
    if count <= 0:
        return 0.0, 1.0
    if of is not None:
        if count >= of:
            return share, share
        count = count * (of - 1) / (of - count)
    z = quantile(confidence)
    low = high = 0.0
    if share > 0:
        root = z * z - 2 - 1 / count + 4 * share * (count * (1 - share) + 1)
        low = (2 * count * share + z * z - 1 - z * sqrt(max(root, 0.0))) / (2 * (count + z * z))
    if share < 1:
        root = z * z + 2 - 1 / count + 4 * share * (count * (1 - share) - 1)
        high = (2 * count * share + z * z + 1 + z * sqrt(max(root, 0.0))) / (2 * (count + z * z))
    else:
        high = 1.0
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def lower_bound(right: int, count: int, confidence: float) -> float:
    """Return what a share is above with a confidence: the lower bound of one side alone."""
    both = 2 * confidence - 1  # what two sides leave out on one side each
    return share_interval(right / count, count, both)[0] if count and both > 0 else 0.0


def effective(weights: NDArray[np.float64]) -> float:
    """Return how many equal weights say as much as these (Kish)."""
    total = float(weights.sum())
    return total * total / float((weights * weights).sum()) if total else 0.0


def count_for(share: float, width: float, confidence: float = 0.9) -> int | None:
    """Return how many are needed for an interval of a width; ``None`` if no number is enough.

    Args:
        share: What is found, about.
        width: From the lower to the upper bound, 0..1.
        confidence: How often the interval is to hold: 0..1.
    """
    low, high = 1, MOST
    if _width(share, high, confidence) > width:
        return None
    while low < high:
        middle = (low + high) // 2
        if _width(share, middle, confidence) <= width:
            high = middle
        else:
            low = middle + 1
    return low


def _width(share: float, count: int, confidence: float) -> float:
    low, high = share_interval(share, count, confidence)
    return high - low
