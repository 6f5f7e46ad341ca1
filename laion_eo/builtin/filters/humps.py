"""Whether scores have two humps: a sign that a threshold is not between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID = 256
FEWEST = 50
DEPTH = 0.7
"""A valley is lower than this share of the lower hump."""
SURE = 3.0
"""Standard deviations, of counts, by which the lower hump must rise above the valley."""


def two_humps(values: NDArray[np.floating]) -> float | None:
    """Return where the valley between two humps of scores is; ``None`` if there is no such.

    Scores are counted in a sliding window, smoothed, about as wide as the usual bandwidth of a
    kernel density. A hump counts if the valley beside it is clearly lower than chance explains.

    Args:
        values: (n,); what is not finite is left out.
    """
    known = np.sort(values[np.isfinite(values)].astype(np.float64))
    if len(known) < FEWEST or known[0] == known[-1]:
        return None
    low, high = np.percentile(known, [25, 75])
    spreads = [spread for spread in (known.std(), (high - low) / 1.34) if spread > 0]
    width = 0.9 * min(spreads) * len(known) ** -0.2
    if (known[-1] - known[0]) / width > 100 * GRID:
        return None  # one hump so narrow, with a value so far off, that no grid shows both
    grid = np.linspace(known[0] - width, known[-1] + width, GRID)
    counts = _counts(known, grid, width)
    return _valley(grid, counts)


def _counts(
    known: NDArray[np.float64], grid: NDArray[np.float64], width: float
) -> NDArray[np.float64]:
    """Return the number of values about each place, smoothed."""
    edges = np.concatenate([[grid[0]], (grid[1:] + grid[:-1]) / 2, [grid[-1]]])
    counts, _ = np.histogram(known, edges)
    step = grid[1] - grid[0]
    reach = max(1, int(np.ceil(3 * width / step)))
    offsets = np.arange(-reach, reach + 1) * step
    kernel = np.exp(-0.5 * (offsets / max(width, step)) ** 2)
    smooth: NDArray[np.float64] = np.convolve(counts, kernel)[reach : reach + len(grid)]
    return smooth


def _valley(grid: NDArray[np.float64], counts: NDArray[np.float64]) -> float | None:
    """Return the place of the valley that is the deepest below the lower of the humps beside it."""
    left = np.maximum.accumulate(counts)
    right = np.maximum.accumulate(counts[::-1])[::-1]
    hump = np.minimum(left, right)
    rise = hump - counts
    sure = (counts < DEPTH * hump) & (rise > SURE * np.sqrt(np.maximum(hump + counts, 1)))
    if not sure.any():
        return None
    return float(grid[np.argmax(np.where(sure, rise, -np.inf))])
