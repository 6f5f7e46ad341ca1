"""A run that searches in several rounds over the small web."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from laion_eo.testing.web import GREEN, RED
from laion_eo.types import JSON

AGAIN = {"k": 6, "hops": 3, "accept": 0, "drift": 50, "until": 0.2, "max_k": 18, "distinct": 0.9999}
"""Options that search in several rounds."""


def in_rounds(run_data: dict[str, JSON], folder: Path) -> dict[str, JSON]:
    """Return the run with anchors that are green and red by parts, so that they differ.

    Args:
        run_data: The run over the small web.
        folder: Where the anchors are written; it does not exist yet.
    """
    folder.mkdir()
    for quarter in (1, 2, 3):
        pixels = np.full((300, 300, 3), GREEN, np.uint8)
        pixels[:, : quarter * 75] = RED
        Image.fromarray(pixels).save(folder / f"{quarter}.png")
    retriever = run_data["retriever"] | AGAIN
    return run_data | {"anchors": {"use": "images", "root": str(folder)}, "retriever": retriever}
