from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laion_eo.pipeline import ray_engine, run
from laion_eo.pipeline.ray_engine import RayEngine
from laion_eo.registry import Registry
from laion_eo.types import JSON

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ray: Any = pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two workers' worth of Ray on this machine."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def square(number: int) -> int:
    return number * number


def joined(left: str, right: str) -> str:
    return left + right


def test_results_come_in_order() -> None:
    assert list(RayEngine(None, 2, 1).map(square, range(20))) == [n * n for n in range(20)]


def test_groups_are_joined_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "GROUP", 10)
    monkeypatch.setattr(ray_engine, "FAN_IN", 3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    groups = list(RayEngine(None, 2, 1).merge(str.upper, joined, letters))
    assert [count for count, _ in groups] == [10, 10, 6]
    assert "".join(text for _, text in groups) == letters.upper()


def test_a_lost_worker_s_shard_is_done_again(tmp_path: Path) -> None:
    def die_once(number: int) -> int:
        marker = tmp_path / "died"
        if number == 3 and not marker.exists():
            marker.touch()
            os._exit(1)
        return number

    assert list(RayEngine(None, 2, 1).map(die_once, range(8))) == list(range(8))
    assert (tmp_path / "died").exists()


def test_the_same_bytes_as_on_one_machine(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    data = run_data | {"retriever": run_data["retriever"] | {"shard_rows": 9}}
    local = run(data, tmp_path / "local", registry=registry)
    spread = {"use": "ray", "workers": 2, "batch_rows": 8}
    other = run(data | {"engine": spread}, tmp_path / "ray", registry=registry)
    for mine, theirs in zip(
        sorted(local.dataset.rglob("*.parquet")),
        sorted(other.dataset.rglob("*.parquet")),
        strict=True,
    ):
        assert mine.read_bytes() == theirs.read_bytes()
    for stage in ("neighbors", "scores"):
        parts = [sorted((r.folder / stage).glob("*.parquet")) for r in (local, other)]
        assert [p.read_bytes() for p in parts[0]] == [p.read_bytes() for p in parts[1]]
