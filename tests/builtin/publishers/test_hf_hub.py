from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun
from public_pictures import HOST, public_pictures
from releases import REPO

from laion_eo.builtin.publishers.hf_hub import HfHub
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError
from laion_eo.hub.history import RELEASES
from laion_eo.integrity.release import find_release
from laion_eo.integrity.verify import verify
from laion_eo.pipeline import run
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing.web import small_run
from laion_eo.types import JSON


def test_publisher_of_a_run_returns_the_commit(hub: LoopbackHub, make_run: MakeRun) -> None:
    publisher = HfHub(validate(HfHub.Config, {"repo": REPO}, "run"), Context())
    commit = publisher.publish(find_release(make_run()))
    assert hub.repos[REPO].branches["main"] == commit


@pytest.fixture
def proxy(web: Path, tmp_path: Path) -> Iterator[dict[str, JSON]]:
    """The downloader that reaches pictures of a public host, by a proxy on loopback."""
    with public_pictures(web, tmp_path / "web") as downloader:
        yield downloader


@pytest.fixture
def public_data(
    web: Path, anchors: Path, proxy: dict[str, JSON], registry: Registry, tmp_path: Path
) -> dict[str, JSON]:
    """A run file over pictures of a public host."""
    index(web, tmp_path / "pool", {"use": "colours"}, f"http://{HOST}/", registry)
    return small_run(anchors, tmp_path / "pool") | {"downloader": proxy}


def test_run_file_releases(
    hub: LoopbackHub, public_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    data = {**public_data, "publisher": {"use": "hf-hub", "repo": REPO, "tag": "v1"}}
    result = run(data, tmp_path / "run", (), registry)
    told = result.manifest["stages"]["dataset"]["facts"]["hf-hub"]
    assert told["revision"] == hub.repos[REPO].tags["v1"]
    shard = "ver-0/train-00000-of-00001.parquet"
    assert hub.repos[REPO].file("v1", shard).content == (result.dataset / shard).read_bytes()
    assert run(data, tmp_path / "run", (), registry).ran == []
    everything = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(hub.token.encode() in path.read_bytes() for path in everything)


def test_a_release_without_some_rows_is_sound(
    hub: LoopbackHub,
    web: Path,
    anchors: Path,
    proxy: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
) -> None:
    """So is the dataset of the run, which keeps them."""
    pictures = sorted(path.name for path in web.glob("*.png"))
    urls = [
        f"http://{HOST}/{name}{'?access_token=sEcReT' if place % 5 == 2 else ''}"
        for place, name in enumerate(pictures)
    ]
    captions = [f"a caption of {name}" for name in pictures]
    pq.write_table(pa.table({"url": urls, "caption": captions}), tmp_path / "urls.parquet")
    pool = tmp_path / "pool"
    index(tmp_path / "urls.parquet", pool, {"use": "colours"}, None, registry, downloader=proxy)
    data = small_run(anchors, pool) | {"downloader": proxy}
    data["publisher"] = {"use": "hf-hub", "repo": REPO, "drop_unpublishable": True}
    result = run(data, tmp_path / "run", (), registry)
    entry = json.loads((result.folder / RELEASES).read_text())
    kept = result.manifest["stages"]["dataset"]["counts"]["rows"]
    assert 0 < entry["rows"] < kept == entry["rows"] + sum(entry["dropped"].values())
    for name, blob in hub.repos[REPO].at("main").files.items():
        (tmp_path / "released" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "released" / name).write_bytes(blob.content)
        assert b"sEcReT" not in blob.content
    for folder in (tmp_path / "released", result.dataset):
        assert verify(folder).faults == ()


def test_a_run_over_addresses_of_this_machine_releases_nothing(
    hub: LoopbackHub, run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    for more in ({}, {"drop_unpublishable": True}):
        data = {**run_data, "publisher": {"use": "hf-hub", "repo": REPO, **more}}
        with pytest.raises(DataError, match="30 not of a public host"):
            run(data, tmp_path / "run", (), registry)
    assert hub.requests == []
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_no_token_among_the_options() -> None:
    with pytest.raises(ConfigError, match="unknown key 'token'"):
        validate(HfHub.Config, {"repo": REPO, "token": "hf_x"}, "run")
