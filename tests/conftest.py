"""Fixtures: a small web of made pictures, its pool, and a run file over them."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from made import MakeRun, client_env, made_rows
from PIL import Image

from laion_eo.config import DatasetOptions
from laion_eo.dataset.card import render_card
from laion_eo.dataset.tree import write_tree
from laion_eo.pipeline import RunResult, index, run
from laion_eo.registry import Registry
from laion_eo.testing import colours, serve_folder
from laion_eo.testing.hub import LoopbackHub, loopback_hub
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
    return _run_data(anchors, pool)


def _run_data(anchors: Path, pool: Path) -> dict[str, JSON]:
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


@pytest.fixture(scope="session")
def finished_run(anchors: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A whole run over the small web; leave it as it is."""
    registry = Registry.discover([colours])
    return run(_run_data(anchors, pool), tmp_path_factory.mktemp("finished") / "run", (), registry)


@pytest.fixture
def make_run(finished_run: RunResult, tmp_path: Path) -> MakeRun:
    """Make run directories that differ in what they release, quickly."""

    def make(config: str = "ver-0", rows: int = 20, name: str = "") -> Path:
        folder = tmp_path / (name or f"run-{config}-{rows}")
        options = DatasetOptions(config=config)
        table = made_rows(rows)
        card = partial(render_card, options, table, finished_run.manifest, [])
        write_tree(folder / "dataset", config, table, card)
        return folder

    return make


_HUB = pytest.StashKey[LoopbackHub]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the loopback Hub: its clients read the environment when they are imported."""
    assert "huggingface_hub" not in sys.modules, "a conftest imports it too early"
    stack = ExitStack()
    home = stack.enter_context(TemporaryDirectory())
    config.stash[_HUB] = stack.enter_context(loopback_hub())
    os.environ.update(client_env(config.stash[_HUB], Path(home)))
    config.add_cleanup(stack.close)


@pytest.fixture
def hub(pytestconfig: pytest.Config) -> Iterator[LoopbackHub]:
    """An empty Hub on loopback, spoken to by the real clients of this process."""
    server = pytestconfig.stash[_HUB]
    server.reset()
    yield server
    assert server.complaints == []
