from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from laion_eo.pipeline.stages import stored_images
from laion_eo.pipeline.stages.stored_images import SAMPLED, StoredImages


def store(folder: Path, content: bytes) -> str:
    name = f"{hashlib.sha256(content).hexdigest()}.png"
    (folder / name).write_bytes(content)
    return name


def test_an_image_is_what_its_name_says(tmp_path: Path) -> None:
    name = store(tmp_path, b"an image")
    images = StoredImages(tmp_path)
    assert images.is_sound(name, 8)
    assert not images.is_sound(name, 9)
    (tmp_path / name).write_bytes(b"AN IMAGE")
    assert not StoredImages(tmp_path).is_sound(name, 8)
    (tmp_path / name).unlink()
    assert not images.is_sound(name, 8)


def test_a_link_is_no_image(tmp_path: Path) -> None:
    name = store(tmp_path, b"an image")
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    assert not StoredImages(tmp_path).is_sound(name, 8)


@pytest.mark.parametrize("thorough", [False, True])
def test_many_images_are_sampled(
    thorough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_images, "HASHED_BYTES", 40)
    names = [store(tmp_path, b"%08d" % number) for number in range(8 * SAMPLED)]
    for name in names:
        (tmp_path / name).write_bytes(bytes(8))
    images = StoredImages(tmp_path, thorough=thorough)
    found = [images.is_sound(name, 8) for name in names].count(False)
    sampled = sum(int(name[:8], 16) % SAMPLED == 0 for name in names[5:])
    assert found == (len(names) if thorough else 5 + sampled)
    assert sampled
