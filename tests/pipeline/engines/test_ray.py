from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laion_eo.pipeline import run
from laion_eo.pipeline.engines import ray as ray_engine
from laion_eo.pipeline.engines.ray import RayEngine
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


@pytest.fixture
def engine() -> Iterator[RayEngine]:
    """Two workers of one thread."""
    engine = RayEngine(None, 2, 1)
    yield engine
    engine.close()


def worker(_: int) -> int:
    return os.getpid()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def square(number: int) -> int:
    return number * number


def joined(left: str, right: str) -> str:
    return left + right


def test_results_come_in_order(engine: RayEngine) -> None:
    assert list(engine.map(square, range(20))) == [n * n for n in range(20)]


def test_workers_stay_until_the_engine_is_closed(engine: RayEngine) -> None:
    """And each call's function is another."""
    first = set(engine.map(worker, range(8)))
    assert list(engine.map(square, range(8))) == [n * n for n in range(8)]
    assert set(engine.map(worker, range(8))) == first
    assert len(first) == 2
    engine.close()
    deadline = time.monotonic() + 30
    while any(map(alive, first)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, first))
    assert ray.is_initialized()  # not this engine's own


def test_after_a_failure_the_next_call_is_not_held_up(engine: RayEngine, tmp_path: Path) -> None:
    def fails_or_waits(number: int) -> None:
        if number == 0:
            raise ValueError("no")
        time.sleep(600)

    with pytest.raises(ValueError, match="no"):
        list(engine.map(fails_or_waits, range(4)))
    assert list(engine.map(square, range(4))) == [0, 1, 4, 9]


def test_groups_are_joined_in_order(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "GROUP", 10)
    monkeypatch.setattr(ray_engine, "FAN_IN", 3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    groups = list(engine.merge(str.upper, joined, letters))
    assert [count for count, _ in groups] == [10, 10, 6]
    assert "".join(text for _, text in groups) == letters.upper()


def test_a_lost_worker_s_shard_is_done_again(engine: RayEngine, tmp_path: Path) -> None:
    def die_once(number: int) -> int:
        marker = tmp_path / "died"
        if number == 3 and not marker.exists():
            marker.touch()
            os._exit(1)
        return number

    assert list(engine.map(die_once, range(8))) == list(range(8))
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("rounds", [False, True])
def test_the_same_bytes_as_on_one_machine(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, rounds: bool
) -> None:
    from rounds import in_rounds  # not above: workers import this module, and no other test

    data = in_rounds(run_data, tmp_path / "mixed") if rounds else run_data
    data = data | {"retriever": data["retriever"] | {"shard_rows": 9}}
    local = run(data, tmp_path / "local", registry=registry)
    spread = {"use": "ray", "workers": 2, "batch_rows": 8}
    other = run(data | {"engine": spread}, tmp_path / "ray", registry=registry)
    for mine, theirs in zip(
        sorted(local.dataset.rglob("*.parquet")),
        sorted(other.dataset.rglob("*.parquet")),
        strict=True,
    ):
        assert mine.read_bytes() == theirs.read_bytes()
    facts = [json.loads((r.folder / "manifest.json").read_text())["stages"] for r in (local, other)]
    pairs = [found["neighbors"]["facts"]["exact-scan"]["pairs"] for found in facts]
    assert pairs[0] == pairs[1] > 0
    for stage in ("neighbors", "scores"):
        parts = [sorted((r.folder / stage).glob("*.parquet")) for r in (local, other)]
        assert [p.read_bytes() for p in parts[0]] == [p.read_bytes() for p in parts[1]]
