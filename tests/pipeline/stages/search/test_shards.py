from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray
from rounds import in_rounds

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.integrity.verify import verify
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.runner import Runner
from laion_eo.pipeline.stages.search.shards import ShardSearch
from laion_eo.pipeline.vectors.queries import read_queries
from laion_eo.registry import Registry
from laion_eo.types import JSON, Embeddings, Neighbors

Search = Callable[[ExactScan, Embeddings, int, int, NDArray[np.float32]], Neighbors]


@pytest.fixture
def sharded(run_data: dict[str, JSON]) -> dict[str, JSON]:
    """The run over the small web, its pool cut into six shards."""
    return run_data | {"retriever": run_data["retriever"] | {"shard_rows": 9}}


def neighbors(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = RunDir(folder).read("neighbors").to_pylist()
    return rows


def pairs(folder: Path) -> int:
    """The pairs of an anchor and a row that the manifest counts."""
    manifest = json.loads((folder / "manifest.json").read_text())
    counted: int = manifest["stages"]["neighbors"]["facts"]["exact-scan"]["pairs"]
    return counted


def test_shards_change_nothing(
    run_data: dict[str, JSON], sharded: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    whole = run(run_data, tmp_path / "whole", registry=registry)
    cut = run(sharded, tmp_path / "cut", registry=registry)
    assert neighbors(cut.folder) == neighbors(whole.folder)
    assert pairs(cut.folder) == pairs(whole.folder) > 0
    assert not (cut.folder / "neighbors" / ".shards").exists()


def test_a_failed_search_resumes_after_its_last_shard(
    sharded: dict[str, JSON], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(sharded, tmp_path / "whole", registry=registry)
    plain: Search = ExactScan.search_shard
    searched: list[int] = []

    def stumbling(
        self: ExactScan, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        searched.append(shard)
        if searched == [0, 1, 2, 3]:
            raise KeyboardInterrupt
        return plain(self, queries, k, shard, floor)

    monkeypatch.setattr(ExactScan, "search_shard", stumbling)
    with pytest.raises(KeyboardInterrupt):
        run(sharded, tmp_path / "run", registry=registry)
    again = run(sharded, tmp_path / "run", registry=registry)
    assert searched == [0, 1, 2, 3, 3, 4, 5]
    assert neighbors(again.folder) == neighbors(whole.folder)
    assert pairs(again.folder) == pairs(whole.folder)  # those before the stop too


def test_shards_kept_for_other_anchors_are_of_no_use(
    sharded: dict[str, JSON],
    anchors: Path,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = tmp_path / "anchors"
    shutil.copytree(anchors, mine)
    data = sharded | {"anchors": sharded["anchors"] | {"root": str(mine)}}
    plain: Search = ExactScan.search_shard

    def stumbling(
        self: ExactScan, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        if shard == 3:
            raise KeyboardInterrupt
        return plain(self, queries, k, shard, floor)

    with monkeypatch.context() as patched:
        patched.setattr(ExactScan, "search_shard", stumbling)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "run", registry=registry)
    first, second, *_ = sorted(mine.iterdir())
    first.write_bytes(second.read_bytes())  # as many anchors, but others
    again = run(data, tmp_path / "run", registry=registry)
    fresh = run(data, tmp_path / "fresh", registry=registry)
    assert neighbors(again.folder) == neighbors(fresh.folder)


def test_what_a_worker_found_raises_its_own_floor(
    sharded: dict[str, JSON], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster, the floor that comes with a shard is as old as the last joined group."""
    data = sharded | {"retriever": sharded["retriever"] | {"k": 4}}
    run(data, tmp_path, registry=registry)
    floors: list[NDArray[np.float32]] = []
    plain: Search = ExactScan.search_shard

    def listening(
        self: ExactScan, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        floors.append(floor)
        return plain(self, queries, k, shard, floor)

    monkeypatch.setattr(ExactScan, "search_shard", listening)
    workbench = Runner(data, tmp_path, (), registry).workbench
    _, queries = read_queries(RunDir(tmp_path).read("anchors"))
    search = ShardSearch(workbench, queries, 4)
    nothing = np.full(len(queries), -np.inf, np.float32)
    # Ray does a shard again whose result was lost: its hits must not count twice.
    found = [search.search_shard((shard, nothing)).neighbors for shard in (0, 0, 1)]
    high = np.ones_like(nothing)
    search.search_shard((2, high))
    workbench.close()
    np.testing.assert_array_equal(floors[0], nothing)
    np.testing.assert_array_equal(floors[1], found[0].scores[:, -1])
    np.testing.assert_array_equal(floors[2], found[0].scores[:, -1])
    np.testing.assert_array_equal(floors[3], high)


SLOW = """
import sys, time
from pathlib import Path
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.integrity.verify import verify
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.testing import colours

plain = ExactScan.search_shard
def slow(self, queries, k, shard, floor):
    print("shard", shard, flush=True)
    time.sleep(float(sys.argv[3]))
    return plain(self, queries, k, shard, floor)
ExactScan.search_shard = slow
run(Path(sys.argv[1]), Path(sys.argv[2]), registry=Registry.discover([colours]))
"""


@pytest.mark.crash
def test_a_killed_search_resumes_after_its_last_shard(
    sharded: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    whole = run(sharded, tmp_path / "whole", registry=registry)
    file = tmp_path / "run.toml"
    file.write_text(tomli_w.dumps(sharded))
    command = [sys.executable, "-c", SLOW, str(file), str(tmp_path / "run")]
    with subprocess.Popen([*command, "0.3"], stdout=subprocess.PIPE, text=True) as first:
        shards = tmp_path / "run" / "neighbors" / ".shards"
        deadline = time.monotonic() + 60
        while len(list(shards.glob("*/*.npz"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
    done = len(list(shards.glob("*/*.npz")))
    assert 2 <= done < 6
    again = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    assert again.stdout.split("\n")[0] == f"shard {done}"
    assert neighbors(tmp_path / "run") == neighbors(whole.folder)


@pytest.fixture
def mixed(run_data: dict[str, JSON], tmp_path: Path) -> dict[str, JSON]:
    """The run over the small web in several rounds."""
    return in_rounds(run_data, tmp_path / "mixed")


def cut_into(data: dict[str, JSON], shard_rows: int) -> dict[str, JSON]:
    return data | {"retriever": data["retriever"] | {"shard_rows": shard_rows}}


def test_shards_change_nothing_of_several_rounds(
    mixed: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    whole = run(cut_into(mixed, 1000), tmp_path / "whole", registry=registry)
    cut = run(cut_into(mixed, 9), tmp_path / "cut", registry=registry)
    assert neighbors(cut.folder) == neighbors(whole.folder)
    assert pairs(cut.folder) == pairs(whole.folder) > 0
    found = [one.manifest["stages"]["neighbors"]["facts"]["search"] for one in (cut, whole)]
    assert found[0] == found[1]
    assert found[0]["hops"]["2"]["queries"] > 0
    assert verify(cut.folder).faults == ()


def test_a_later_round_resumes_after_its_last_shard(
    mixed: dict[str, JSON], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = cut_into(mixed, 9)
    plain: Search = ExactScan.search_shard
    searched: list[tuple[int, int, int]] = []
    stumbles = -1

    def stumbling(
        self: ExactScan, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        searched.append((len(queries), k, shard))
        if len(searched) == stumbles:
            raise KeyboardInterrupt
        return plain(self, queries, k, shard, floor)

    monkeypatch.setattr(ExactScan, "search_shard", stumbling)
    whole = run(data, tmp_path / "whole", registry=registry)
    everything = list(searched)
    stumbles = len(everything) - 2
    searched.clear()
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", registry=registry)
    searched.clear()
    stumbles = -1
    again = run(data, tmp_path / "run", registry=registry)
    assert searched == everything[-3:]
    assert neighbors(again.folder) == neighbors(whole.folder)
    assert pairs(again.folder) == pairs(whole.folder)
