"""A small web of made pictures: two domains, and what makes a web a web."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from laion_eo.types import JSON

GREEN, RED, GREY = (40, 140, 50), (200, 40, 40), (120, 120, 120)


def picture(seed: int, colour: tuple[int, int, int], size: int = 300) -> Image.Image:
    """Return a noisy field of one colour: each seed its own file, each colour its own domain.

    Args:
        seed: Of the noise.
        colour: Red, green, blue, 0..255.
        size: Height and width in pixels; a multiple of 10.
    """
    noise = np.random.default_rng(seed).normal(0, 12, (size // 10, size // 10, 3))
    field = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(field).resize((size, size), Image.Resampling.NEAREST)


def write_web(folder: Path, green: int = 30, red: int = 20) -> Path:
    """Write green pictures, red ones, a thumbnail, a copy, and ``pairs.csv`` with captions.

    Args:
        folder: Where to; it exists.
        green: How many green ones; at least one.
        red: How many red ones.

    Returns:
        The folder.
    """
    rows = []
    for seed in range(green + red):
        name = f"{'green' if seed < green else 'red'}{seed:02d}.png"
        picture(seed, GREEN if seed < green else RED).save(folder / name)
        rows.append((name, f"a {name.rstrip('0123456789.png')} field number {seed}"))
    picture(100, GREEN, 100).save(folder / "small.png")
    (folder / "copy.png").write_bytes((folder / "green00.png").read_bytes())
    rows += [("small.png", "a small green field"), ("copy.png", "ein grünes Feld")]
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "caption"), *rows])
    return folder


def write_anchors(folder: Path) -> Path:
    """Write four green pictures that are not of :func:`write_web`, and return the folder."""
    for seed in range(200, 204):
        picture(seed, GREEN).save(folder / f"{seed}.png")
    return folder


def small_run(anchors: Path, pool: Path) -> dict[str, JSON]:
    """Return a run file over the folders of :func:`write_anchors` and of an indexed web."""
    return {
        "anchors": {"use": "images", "root": str(anchors)},
        "normalizer": {"use": "none"},
        "embedder": {"use": "colours"},
        "retriever": {"use": "exact-scan", "pool": str(pool), "k": 35},
        "downloader": {"use": "http", "allow_hosts": ["127.0.0.1"], "retries": 0, "delay": 0.0},
        "scorers": [
            {"use": "image-similarity"},
            {"use": "text-similarity", "prompt": "a green image"},
        ],
        "filters": [
            {"use": "min-size"},
            {"use": "similarity-threshold", "sigma": 1.5},
            {"use": "duplicates"},
        ],
        "language_tagger": {"use": "letters"},
        "engine": {"use": "local", "batch_rows": 8},
        "dataset": {"config": "ver-0"},
    }
