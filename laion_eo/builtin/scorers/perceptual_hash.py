"""Scorer ``perceptual-hash``: what near-duplicates are matched on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from laion_eo.kinds import ScoreBatch, Scorer
from laion_eo.types import Picture

SIDE = 32
KEPT = 8
"""Lowest frequencies kept in each direction: 8 x 8 bits."""


def _cosines() -> NDArray[np.float64]:
    """Return the first rows of the discrete cosine transform, (KEPT, SIDE)."""
    frequency, place = np.arange(KEPT)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))


_DCT = _cosines()


def perceptual_hash(picture: Picture) -> int:
    """Return 64 bits that stay nearly the same when a picture is resized or saved again.

    Each bit says whether one of the picture's 64 lowest frequencies is stronger than their median
    (the picture made grey and 32 x 32 first).

    Args:
        picture: uint8 RGB, (height, width, 3).
    """
    image = Image.fromarray(picture).convert("L")
    # Halving first is quick, and the area filter makes small copies out of large ones alike.
    image.thumbnail((8 * SIDE, 8 * SIDE), Image.Resampling.BOX)
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    strength = _DCT @ small @ _DCT.T
    bits = (strength > np.median(strength)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


class PerceptualHash(Scorer):
    """A hash of how an image looks: near-duplicates differ in few bits."""

    name = "perceptual-hash"
    summary = "64 bits that stay the same when an image is resized or saved again"
    columns = pa.schema([("perceptual_hash", pa.uint64())])

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``perceptual_hash``: uint64."""
        hashes = [perceptual_hash(image) for image in batch.images]
        return pa.table([pa.array(hashes, pa.uint64())], schema=self.columns)
