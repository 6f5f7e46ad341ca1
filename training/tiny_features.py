"""Features of the frozen backbones, computed once and cached in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tiny_data
from numpy.typing import NDArray

from laion_eo.builtin.embedders.tiny.backbones import ImageBackbone, TextBackbone

WORKERS = 2


@cache
def _image_backbone() -> ImageBackbone:
    return ImageBackbone()


@cache
def _text_backbone() -> TextBackbone:
    return TextBackbone()


def _one_thread() -> None:
    import torch

    # Several processes with one thread are faster here than one process with several threads.
    torch.set_num_threads(1)


def _image_features(picture: tiny_data.Picture, miniweb: Path, view: int) -> NDArray[np.float32]:
    image = tiny_data.read_rgb(miniweb / picture.file)
    return _image_backbone().features(tiny_data.altered(picture, image, view))


def _array_features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _image_backbone().features(image)


def _text_features(text: str) -> NDArray[np.float32]:
    return _text_backbone().features(text)


def _load(file: Path) -> dict[str, NDArray[np.float32]]:
    if not file.exists():
        return {}
    with np.load(file) as stored:
        return dict(zip(stored["keys"].tolist(), stored["features"], strict=True))


def _save(file: Path, known: dict[str, NDArray[np.float32]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, keys=np.array(list(known)), features=np.stack(list(known.values())))


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(WORKERS, get_context("spawn"), _one_thread)


def image_features(
    pictures: Sequence[tiny_data.Picture], miniweb: Path, view: int, folder: Path
) -> NDArray[np.float32]:
    """Return the features of one view of every picture: (n, d) float32."""
    file = folder / f"view{view}.npz"
    known = _load(file)
    missing = [picture for picture in pictures if picture.key not in known]
    if missing:
        with _pool() as pool:
            work = partial(_image_features, miniweb=miniweb, view=view)
            found: Iterable[NDArray[np.float32]] = pool.map(work, missing, chunksize=16)
            known.update(zip((picture.key for picture in missing), found, strict=True))
        _save(file, known)
    return np.stack([known[picture.key] for picture in pictures])


def anchor_features(anchors: Path) -> NDArray[np.float32]:
    """Return the features of the cloud-free anchors: (n, d) float32."""
    _, images = tiny_data.read_anchors(anchors)
    with _pool() as pool:
        return np.stack(list(pool.map(_array_features, images, chunksize=4)))


def text_features(texts: Iterable[str], folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the features of every text: (384,) float32 each."""
    file = folder / "texts.npz"
    known = _load(file)
    missing = sorted(set(texts) - known.keys())
    if missing:
        with _pool() as pool:
            found = pool.map(_text_features, missing, chunksize=64)
            known.update(zip(missing, found, strict=True))
        _save(file, known)
    return known
