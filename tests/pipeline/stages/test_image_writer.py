from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from laion_eo.pipeline.stages.image_writer import ImageWriter


def test_images_are_written_at_once_and_once(tmp_path: Path) -> None:
    with ImageWriter(tmp_path / "images") as images:
        images.write("ab.png", b"first")
        assert (tmp_path / "images" / "ab.png").read_bytes() == b"first"
        images.write("ab.png", b"second")
        assert (tmp_path / "images" / "ab.png").read_bytes() == b"first"
        assert images.written == 2
        assert images.are_on_disk(2, wait=True)
        assert images.are_on_disk(0)


def test_who_does_not_wait_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk stops nobody; the folder follows its files."""
    slow = threading.Event()
    sync, synced = os.fsync, []

    def fsync(file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if path.suffix == ".png":
            slow.wait()
        sync(file)
        synced.append(path.name)

    (tmp_path / "images").mkdir()
    monkeypatch.setattr(os, "fsync", fsync)
    with ImageWriter(tmp_path / "images") as images:
        for number in range(6):
            images.write(f"{number}.png", b"%d" % number)
        assert not images.are_on_disk(1)
        slow.set()
        assert images.are_on_disk(6, wait=True)
    assert sorted(synced[:-1]) == [f"{number}.png" for number in range(6)]
    assert synced[-1] == "images"


def test_a_disk_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(file: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "images").mkdir()
    monkeypatch.setattr(os, "fsync", fsync)
    with ImageWriter(tmp_path / "images") as images:
        images.write("a.png", b"a")
        with pytest.raises(OSError, match="No space left"):
            images.are_on_disk(1, wait=True)
