from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from kept import unfinish

from laion_eo.errors import DataError
from laion_eo.pipeline import plan, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.types import JSON


def test_a_plan_counts_what_is_known(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    found = plan(run_data, tmp_path / "run", registry=registry)
    rows = {stage.name: stage.rows for stage in found.stages}
    assert found.pool_rows == 52
    assert rows["anchors"] == 4
    assert rows["neighbors"] == 4 * 35
    assert rows["downloads"] == 52  # no more than the pool has
    assert found.download_bytes == 52 * 100_000
    assert all(stage.state == "run" and stage.seconds is not None for stage in found.stages)
    assert not (tmp_path / "run").exists()


def test_a_plan_knows_what_is_done(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run(run_data, tmp_path / "run", registry=registry)
    change = ["filters.similarity-threshold.sigma=2"]
    states = {s.name: s.state for s in plan(run_data, tmp_path / "run", change, registry).stages}
    assert {name for name, state in states.items() if state == "run"} == {"verdicts", "dataset"}
    assert states["scores"] == "done"


def test_a_plan_knows_what_resumes(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    folder = run(run_data, tmp_path / "run", registry=registry).folder
    for stage in ("scores", "verdicts"):  # as a killed run leaves them
        unfinish(folder, stage)
    RunDir(folder).parts("scores")[-1].unlink()
    states = {s.name: s.state for s in plan(run_data, folder, registry=registry).stages}
    assert states["scores"] == "resume"
    assert states["verdicts"] == "run"  # made at once: there is nothing to resume
    assert states["languages"] == "done"
    assert states["dataset"] == "run"  # whether it is still true shows when the verdicts are there


def test_a_plan_finds_missing_data(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no such folder"):
        plan(run_data, tmp_path / "run", [f"anchors.root={tmp_path / 'no'}"], registry)


def test_a_run_files_paths_start_at_its_folder(
    run_data: dict[str, JSON], anchors: Path, registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "pictures").symlink_to(anchors)
    file = folder / "small.toml"
    file.write_text(tomli_w.dumps(run_data | {"anchors": {"use": "images", "root": "pictures"}}))
    assert plan(file, tmp_path / "run", registry=registry).stages[0].rows == 4
    with pytest.raises(DataError, match="not-there: no such folder"):
        plan(file, tmp_path / "run", ["anchors.root=not-there"], registry)
