"""A finished run over green and red pictures, in which the green ones are of the domain."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from green_runs import GreenRun
from public_pictures import HOST, public_pictures

from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.testing.web import GREEN, RED, picture, small_run, write_anchors, write_web


@pytest.fixture(scope="session")
def green_run_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GreenRun]:
    """The run; leave it as it is."""
    home = tmp_path_factory.mktemp("green")
    for name in ("web", "anchors"):
        (home / name).mkdir()
    web, registry = write_web(home / "web"), Registry.discover([colours])
    write_anchors(home / "anchors")
    with public_pictures(web, home / "served") as downloader:
        index(web, home / "pool", {"use": "colours"}, f"http://{HOST}/", registry)
        data = small_run(home / "anchors", home / "pool") | {"downloader": downloader}
        data["retriever"]["k"] = 60
        made = GreenRun(data, home / "run", registry)
        made.run()
        yield made


@pytest.fixture
def green_run(green_run_once: GreenRun, tmp_path: Path) -> GreenRun:
    """A copy of the run."""
    shutil.copytree(green_run_once.folder, tmp_path / "run")
    data = deepcopy(green_run_once.data)  # a test may change its options
    return replace(green_run_once, data=data, folder=tmp_path / "run")


@pytest.fixture
def seeds(tmp_path: Path) -> Callable[[int, int], Path]:
    """Write so many green and red pictures that are not in the pool."""

    def write(green: int, red: int) -> Path:
        folder = tmp_path / "seeds"
        for kind, count, colour in (("green", green, GREEN), ("red", red, RED)):
            (folder / kind).mkdir(parents=True)
            for number in range(count):
                picture(500 + number, colour).save(folder / kind / f"{number}.png")
        return folder

    return write
