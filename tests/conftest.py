"""Fixtures: a small web of made pictures, its pool, and a run file over them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from laion_eo.pipeline import index
from laion_eo.registry import Registry
from laion_eo.testing import colours, serve_folder
from laion_eo.types import JSON

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(
            "no ../shared here: this test measures real data that the project does not ship"
        )
    return SHARED


@pytest.fixture
def registry() -> Registry:
    """The built-ins and the colours embedder, fresh."""
    return Registry.discover([colours])


def picture(seed: int, colour: tuple[int, int, int], size: int = 300) -> Image.Image:
    """A noisy field of one colour: each seed its own file, each colour its own neighbourhood."""
    noise = np.random.default_rng(seed).normal(0, 12, (size // 10, size // 10, 3))
    field = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(field).resize((size, size), Image.Resampling.NEAREST)


GREEN, RED, GREY = (40, 140, 50), (200, 40, 40), (120, 120, 120)


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 green pictures, 20 red ones, and what makes a web a web."""
    folder = tmp_path_factory.mktemp("web")
    rows = []
    for seed in range(50):
        name = f"{'green' if seed < 30 else 'red'}{seed:02d}.png"
        picture(seed, GREEN if seed < 30 else RED).save(folder / name)
        rows.append((name, f"a {name.rstrip('0123456789.png')} field number {seed}"))
    picture(100, GREEN, 100).save(folder / "small.png")
    (folder / "copy.png").write_bytes((folder / "green00.png").read_bytes())
    rows += [("small.png", "a small green field"), ("copy.png", "ein grünes Feld")]
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "caption"), *rows])
    return folder


@pytest.fixture(scope="session")
def web_url(web: Path) -> Iterator[str]:
    """The web, served on loopback."""
    with serve_folder(web) as url:
        yield url


@pytest.fixture(scope="session")
def pool(web: Path, web_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The web, indexed with the colours embedder."""
    folder = tmp_path_factory.mktemp("pool")
    index(web, folder, {"use": "colours"}, web_url, Registry.discover([colours]))
    return folder


@pytest.fixture(scope="session")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four green anchors."""
    folder = tmp_path_factory.mktemp("anchors")
    for seed in range(200, 204):
        picture(seed, GREEN).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def run_data(anchors: Path, pool: Path) -> dict[str, JSON]:
    """A run file over the small web."""
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
        "language_tagger": {"use": "fasttext"},
        "engine": {"use": "local", "batch_rows": 8},
        "dataset": {"config": "ver-0"},
    }
