"""Scores as numbers: what scorers and filters that are fitted need of a column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.kinds import AnchorSet


def values_of(table: pa.Table, column: str) -> NDArray[np.float64]:
    """Return a column of numbers as float64, (n,): NaN for null."""
    found: NDArray[np.float64] = (
        table[column].cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    )
    return found


def known_of_images(anchors: AnchorSet, column: str) -> NDArray[np.float64]:
    """Return the scores that image anchors have, each against the others: float64, finite.

    Texts are left out: how alike texts are is on another scale than images. So is an anchor that
    has no score, as it has no other to be compared with.
    """
    if column not in anchors.table.column_names:
        return np.zeros(0)
    own = values_of(anchors.table, column)[~anchors.is_text]
    return own[np.isfinite(own)]
