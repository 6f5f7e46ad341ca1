"""Scorer ``perceptual-hash``: what near-duplicates are matched on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from laion_eo.kinds import ScoreBatch, Scorer
from laion_eo.types import Picture

SIDE = 32
"""Pixels of a side of the small grey picture that is hashed."""
KEPT = 8
"""Lowest frequencies that are kept in each direction: 8 x 8 bits."""


def _cosines() -> NDArray[np.float64]:
    """Return the first rows of the discrete cosine transform, (KEPT, SIDE)."""
    frequency, pixel = np.arange(KEPT)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * pixel + 1) / (2 * SIDE))


_DCT = _cosines()


def perceptual_hash(picture: Picture) -> int:
    """Return 64 bits that hardly change when a picture is resized or saved again.

    The picture is made grey and 32 x 32; each bit says whether one of its 64 lowest frequencies is
    stronger than their median.

    Args:
        picture: uint8 RGB, (height, width, 3).
    """
    image = Image.fromarray(picture).convert("L")
    # Shrinking in two steps is quick, and averaging areas gives a copy of any size nearly the same
    # small picture.
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
    needs_images = True

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``perceptual_hash``: uint64."""
        hashes = [perceptual_hash(image) for image in batch.images]
        return pa.table([pa.array(hashes, pa.uint64())], schema=self.columns)
