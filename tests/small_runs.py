"""A small finished run over pictures of a public host, and copies of it to be altered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from public_pictures import HOST, public_pictures

from laion_eo.pipeline import run
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.testing.web import small_run, write_anchors, write_web
from laion_eo.types import JSON


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, JSON]]:
    """A run file over a web of 14 pictures, which is served as long as the tests last."""
    home = tmp_path_factory.mktemp("tiny")
    for name in ("web", "anchors"):
        (home / name).mkdir()
    web = write_web(home / "web", green=8, red=4)
    write_anchors(home / "anchors")
    url = f"http://{HOST}/"
    with public_pictures(web, home / "served") as downloader:
        index(web, home / "pool", {"use": "colours"}, url, Registry.discover([colours]))
        data = small_run(home / "anchors", home / "pool") | {"downloader": downloader}
        data["retriever"]["k"] = 11
        both = ["image_similarity", "text_similarity"]
        data["scorers"].append({"use": "combined", "columns": both, "standard": "candidates"})
        data["engine"]["batch_rows"] = 4
        yield data


@pytest.fixture(scope="session")
def tiny_run(tiny_data: dict[str, JSON], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of it; leave it as it is."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(tiny_data, folder, registry=Registry.discover([colours]))
    return folder


@pytest.fixture
def altered(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run", symlinks=True))
