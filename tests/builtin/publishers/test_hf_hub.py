from __future__ import annotations

from pathlib import Path

import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun
from releases import REPO

from laion_eo.builtin.publishers.hf_hub import HfHub
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError
from laion_eo.integrity.release import find_release
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.types import JSON


def test_publisher_of_a_run_returns_the_commit(hub: LoopbackHub, make_run: MakeRun) -> None:
    publisher = HfHub(validate(HfHub.Config, {"repo": REPO}, "run"), Context())
    commit = publisher.publish(find_release(make_run()))
    assert hub.repos[REPO].branches["main"] == commit


def test_run_file_releases(
    hub: LoopbackHub, run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    data = {**run_data, "publisher": {"use": "hf-hub", "repo": REPO, "tag": "v1"}}
    result = run(data, tmp_path / "run", (), registry)
    told = result.manifest["stages"]["dataset"]["facts"]["hf-hub"]
    assert told["revision"] == hub.repos[REPO].tags["v1"]
    shard = "ver-0/train-00000-of-00001.parquet"
    assert hub.repos[REPO].file("v1", shard).content == (result.dataset / shard).read_bytes()
    assert run(data, tmp_path / "run", (), registry).ran == []
    everything = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(hub.token.encode() in path.read_bytes() for path in everything)


def test_no_token_among_the_options() -> None:
    with pytest.raises(ConfigError, match="unknown key 'token'"):
        validate(HfHub.Config, {"repo": REPO, "token": "hf_x"}, "run")
