from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from laion_eo.builtin.scorers.perceptual_hash import perceptual_hash


def scene(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((480, 360), Image.Resampling.BICUBIC)


def test_perceptual_hash_outlives_resizing_and_saving_again(tmp_path: Path) -> None:
    one, other = scene(1), scene(2)
    one.resize((160, 160)).save(tmp_path / "small.jpg", quality=60)
    with Image.open(tmp_path / "small.jpg") as image:
        small = np.asarray(image)
    mine = perceptual_hash(np.asarray(one))
    assert (mine ^ perceptual_hash(small)).bit_count() <= 4
    assert (mine ^ perceptual_hash(np.asarray(other))).bit_count() > 12
