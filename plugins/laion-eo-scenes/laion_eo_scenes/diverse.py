"""Few scenes that represent many: k-centre by Gonzalez's greedy algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def k_centre(vectors: NDArray[np.float32], k: int) -> list[int]:
    """Return k rows such that no row is far from all of them: at most twice the best possible.

    The first is the row nearest to the mean, each further one the row farthest from those chosen.

    Args:
        vectors: float32, (n, dim).
        k: How many; all rows if there are no more.
    """
    count = len(vectors)
    if count <= k:
        return list(range(count))
    chosen = [int(np.argmin(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(vectors - vectors[chosen[0]], axis=1)
    while len(chosen) < k:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
    return sorted(chosen)
