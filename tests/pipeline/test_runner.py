from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from laion_eo.errors import ConfigError, DataError, RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.schema import PUBLISHED
from laion_eo.testing import colours, serve_folder
from laion_eo.types import JSON

BELOW_FILTER = ["verdicts", "dataset"]


def rows(result: RunResult) -> pa.Table:
    return pq.read_table(result.dataset / "ver-0")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def finished(run_data: dict[str, JSON], registry: Registry, tmp_path: Path) -> RunResult:
    return run(run_data, tmp_path / "run", registry=registry)


def test_the_dataset_is_the_domains(finished: RunResult, web_url: str) -> None:
    table = rows(finished)
    assert table.schema.remove_metadata() == PUBLISHED
    urls = table["url"].to_pylist()
    assert len(urls) > 20
    assert len(set(urls)) == len(urls)
    assert all(url.startswith(f"{web_url}green") for url in urls)
    images = {path.name for path in (finished.folder / "images").iterdir()}
    assert set(table["filename"].to_pylist()) <= images
    assert set(table["lang"].to_pylist()) == {"en"}


def test_datasets_loads_it(finished: RunResult, tmp_path: Path) -> None:
    loaded = load_dataset(
        str(finished.dataset), "ver-0", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.features.arrow_schema.remove_metadata() == PUBLISHED
    assert loaded["url"][:] == rows(finished)["url"].to_pylist()


def test_every_number_is_in_the_manifest(finished: RunResult) -> None:
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(finished.manifest))
    counts = {name: stage["counts"] for name, stage in manifest["stages"].items()}
    assert counts["anchors"] == {"anchors": 4, "skipped": 0, "queries": 4}
    verdicts = counts["verdicts"]
    assert counts["candidates"]["images"] == sum(verdicts.values())
    assert verdicts["min-size"] == verdicts["duplicates"] == 1
    assert counts["dataset"]["rows"] == verdicts["kept"] == rows(finished).num_rows
    thresholds = manifest["stages"]["verdicts"]["facts"]["similarity-threshold"]
    assert thresholds["image_similarity"]["sigma"] == 1.5
    assert manifest["components"]["retriever"]["exact-scan"]["plugin"] == "builtin"


def test_dropped_rows_keep_their_reason(finished: RunResult) -> None:
    verdicts = RunDir(finished.folder).read("verdicts")
    reasons = dict(zip(verdicts["filter"].to_pylist(), verdicts["reason"].to_pylist(), strict=True))
    assert reasons["min-size"] == "100 x 100 is below 256 x 256"
    assert reasons["duplicates"].startswith("same sha256 as id ")
    kept = verdicts.filter(verdicts["kept"])
    assert kept["reason"].null_count == kept.num_rows


def test_the_resolved_run_file_gives_the_same_run(
    finished: RunResult, registry: Registry, tmp_path: Path
) -> None:
    again = run(finished.folder / "run.toml", tmp_path / "again", registry=registry)
    assert rows(again).equals(rows(finished))


def test_the_same_run_again_does_nothing(
    finished: RunResult, run_data: dict[str, JSON], registry: Registry
) -> None:
    before = everything(finished.dataset)
    assert run(run_data, finished.folder, registry=registry).ran == []
    assert everything(finished.dataset) == before


def test_another_sigma_runs_only_the_filters(
    finished: RunResult, run_data: dict[str, JSON], registry: Registry
) -> None:
    before = rows(finished).num_rows
    change = ["filters.similarity-threshold.sigma=6"]
    again = run(run_data, finished.folder, change, registry)
    assert again.ran == BELOW_FILTER
    assert rows(again).num_rows > before


def test_another_k_fetches_no_image_again(
    finished: RunResult, run_data: dict[str, JSON], registry: Registry
) -> None:
    first = RunDir(finished.folder).read("downloads")
    again = run(run_data, finished.folder, ["retriever.k=45"], registry)
    second = RunDir(again.folder).read("downloads")
    assert second.num_rows > first.num_rows
    fetched = dict(zip(second["url"].to_pylist(), second["fetched_at"].to_pylist(), strict=True))
    for url, when in zip(first["url"].to_pylist(), first["fetched_at"].to_pylist(), strict=True):
        assert fetched[url] == when


def test_a_deleted_part_is_made_again(
    finished: RunResult, run_data: dict[str, JSON], registry: Registry
) -> None:
    before = everything(finished.dataset)
    RunDir(finished.folder).parts("scores")[1].unlink()
    again = run(run_data, finished.folder, registry=registry)
    assert again.ran == ["scores"]
    assert everything(finished.dataset) == before


def test_a_wrong_run_file_touches_nothing(
    finished: RunResult, run_data: dict[str, JSON], registry: Registry
) -> None:
    before = everything(finished.folder)
    with pytest.raises(ConfigError, match=r"\[\[filters\]\] 2 .*'sigmo'"):
        run(run_data, finished.folder, ["filters.similarity-threshold.sigmo=2"], registry)
    assert everything(finished.folder) == before


@pytest.mark.parametrize(
    "stage", ["anchors", "neighbors", "candidates", "downloads", "scores", "verdicts"]
)
def test_a_stopped_run_resumes(
    run_data: dict[str, JSON], finished: RunResult, tmp_path: Path, stage: str
) -> None:
    class Stop:
        @hookimpl
        def laion_eo_after_batch(self, stage: str, done: int) -> None:
            if stage == self.at and done == 1:
                raise KeyboardInterrupt

        at = stage

    with pytest.raises(KeyboardInterrupt):
        run(run_data, tmp_path / "other", registry=Registry.discover([colours, Stop()]))
    done = RunDir(tmp_path / "other").parts(stage)
    times = [path.stat().st_mtime_ns for path in done]
    again = run(run_data, tmp_path / "other", registry=Registry.discover([colours]))
    assert again.ran[0] == stage
    if stage not in ("neighbors", "candidates", "verdicts"):  # those are made at once
        assert [path.stat().st_mtime_ns for path in done] == times
    assert everything(again.dataset) == everything(finished.dataset)


@pytest.mark.crash
def test_a_killed_run_gives_the_same_bytes(
    run_data: dict[str, JSON], finished: RunResult, registry: Registry, tmp_path: Path
) -> None:
    """Kill -9 as soon as the second part of the scores is there."""
    code = (
        "import json, sys; from laion_eo.registry import Registry;"
        "from laion_eo.pipeline import run; from laion_eo.testing import colours;"
        "run(json.loads(sys.argv[1]), sys.argv[2], registry=Registry.discover([colours]))"
    )
    folder = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(run_data), str(folder)])
    while not list(folder.glob("scores/part-00001-*.parquet")) and process.poll() is None:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = run(run_data, folder, registry=registry)
    assert everything(again.dataset) == everything(finished.dataset)
    assert not list(folder.rglob("*.working"))


def test_a_full_disk_is_one_clear_line_and_loses_nothing(
    run_data: dict[str, JSON],
    finished: RunResult,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = RunDir.write_part

    def full(self: RunDir, work: Work, index: int, table: pa.Table) -> None:
        if work.step == "scores" and index == 2:
            raise OSError(errno.ENOSPC, "No space left on device", "part")
        write(self, work, index, table)

    monkeypatch.setattr(RunDir, "write_part", full)
    with pytest.raises(RunError, match=r"^scores: the disk is full.*run the same command again"):
        run(run_data, tmp_path / "other", registry=registry)
    monkeypatch.undo()
    assert len(RunDir(tmp_path / "other").parts("scores")) == 2
    again = run(run_data, tmp_path / "other", registry=registry)
    assert again.ran[0] == "scores"
    assert everything(again.dataset) == everything(finished.dataset)


def test_a_rotten_web_loses_nothing(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, web: Path
) -> None:
    """Text named .png, half an image, a dead link, a dead host: each its status."""
    rotten = tmp_path / "web"
    shutil.copytree(web, rotten)
    with serve_folder(rotten) as url:
        index(rotten, tmp_path / "pool", {"use": "colours"}, url, registry)
        whole = (rotten / "green02.png").read_bytes()
        (rotten / "green01.png").write_text("just text")
        (rotten / "green02.png").write_bytes(whole[: len(whole) // 2])
        (rotten / "green03.png").unlink()
        pool = {"use": "exact-scan", "pool": str(tmp_path / "pool"), "k": 35}
        result = run(run_data | {"retriever": pool}, tmp_path / "run", registry=registry)
    counts = result.manifest["stages"]
    assert counts["downloads"]["counts"]["not-an-image"] == 1
    assert counts["downloads"]["counts"]["http-error"] == 1
    verdicts = RunDir(result.folder).read("verdicts")
    reasons = "\n".join(verdicts["reason"].drop_null().to_pylist())
    assert "no known image format" in reasons
    assert "HTTP 404" in reasons
    assert "truncated" in reasons
    assert rows(result).num_rows > 20
    dead = ["downloader.allow_hosts=['127.0.0.1']"]
    with pytest.raises(RunError, match="not one of 35 images was fetched: 35 unreachable"):
        run(run_data | {"retriever": pool}, tmp_path / "dead", dead, registry)


def test_an_empty_pool_is_no_dataset(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    for name in ("img_emb", "metadata"):
        (tmp_path / "pool" / name).mkdir(parents=True)
    data = run_data | {"retriever": {"use": "exact-scan", "pool": str(tmp_path / "pool")}}
    with pytest.raises(RunError, match="'exact-scan' found no neighbour of any anchor"):
        run(data, tmp_path / "run", registry=registry)
    assert not (tmp_path / "run" / "dataset").exists()


def test_no_sound_anchor_is_one_clear_line(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "anchors").mkdir()
    (tmp_path / "anchors" / "a.png").write_bytes(b"no picture")
    data = run_data | {"anchors": {"use": "images", "root": str(tmp_path / "anchors")}}
    with pytest.raises(DataError, match="not one of the 1 anchors could be read; .*a.png"):
        run(data, tmp_path / "run", registry=registry)


def test_a_damaged_anchor_keeps_its_number(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, anchors: Path
) -> None:
    mine = tmp_path / "anchors"
    shutil.copytree(anchors, mine)
    (mine / "201.png").write_bytes(b"no picture")
    data = run_data | {"anchors": {"use": "images", "root": str(mine)}}
    result = run(data, tmp_path / "run", registry=registry)
    table = RunDir(result.folder).read("anchors")
    assert table["source"].to_pylist() == [0, 1, 2, 3]
    assert table["embedding"].is_valid().to_pylist() == [True, False, True, True]
    assert "201.png" in table["skipped"][1].as_py()
    assert result.manifest["stages"]["anchors"]["counts"]["skipped"] == 1
    assert rows(result).num_rows > 20


def test_a_lack_of_memory_is_one_line_and_loses_nothing(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RunDir.write_part

    def greedy(self: RunDir, work: Work, index: int, table: pa.Table) -> None:
        if work.step == "scores" and index == 2:
            raise MemoryError
        write(self, work, index, table)

    monkeypatch.setattr(RunDir, "write_part", greedy)
    with pytest.raises(RunError, match=r"^scores: out of memory. What is finished is kept"):
        run(run_data, tmp_path / "run", registry=registry)
    monkeypatch.undo()
    assert len(RunDir(tmp_path / "run").parts("scores")) == 2
    assert run(run_data, tmp_path / "run", registry=registry).ran[0] == "scores"
