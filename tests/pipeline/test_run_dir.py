from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from laion_eo.errors import ConfigError, RunError
from laion_eo.files import write_atomically
from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.run_dir import RunDir


def table(*values: int) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.int64())})


def test_parts_of_one_fingerprint_make_the_table(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_part("scores", 1, "bb", table(2))
    run_dir.write_part("scores", 0, "bb", table(1))
    run_dir.write_part("scores", 0, "aa", table(9))
    assert run_dir.done("scores", "bb") == {0, 1}
    run_dir.complete("scores", StageRecord(fingerprint="bb", parts=2, seconds=0.0))
    assert run_dir.read("scores")["x"].to_pylist() == [1, 2]
    assert [path.name for path in run_dir.parts("scores")] == [
        "part-00000-bb.parquet",
        "part-00001-bb.parquet",
    ]


def test_a_stage_that_is_not_complete_cannot_be_read(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_part("scores", 0, "aa", table(1))
    with pytest.raises(RunError, match="'scores' is not complete"):
        run_dir.read("scores")


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.complete("scores", StageRecord(fingerprint="aa", parts=0, seconds=0.0))
    assert run_dir.record("scores") == StageRecord(fingerprint="aa", parts=0, seconds=0.0)
    (tmp_path / ".stages" / "scores.json").write_text("{")
    assert run_dir.record("scores") is None


def test_a_record_goes_before_its_output_is_touched(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_part("scores", 0, "aa", table(1))
    run_dir.complete("scores", StageRecord(fingerprint="aa", parts=1, seconds=0.0))
    run_dir.dataset.mkdir()
    run_dir.complete("dataset", StageRecord(fingerprint="aa", parts=0, seconds=0.0))
    assert run_dir.is_complete("scores", "aa")
    assert run_dir.is_complete("dataset", "aa")

    run_dir.begin("dataset", "bb")  # written in place
    assert run_dir.record("dataset") is None

    run_dir.begin("scores", "bb")  # in files of another name: what is there stays true
    run_dir.write_part("scores", 0, "bb", table(2))
    assert run_dir.is_complete("scores", "aa")
    assert not run_dir.is_complete("scores", "bb")
    assert run_dir.read("scores")["x"].to_pylist() == [1]

    run_dir.begin("scores", "aa")  # a part was lost, say: made again in its place
    assert run_dir.record("scores") is None


def test_a_stage_without_all_its_parts_is_not_complete(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    for index in range(2):
        run_dir.write_part("scores", index, "aa", table(index))
    run_dir.complete("scores", StageRecord(fingerprint="aa", parts=2, seconds=0.0))
    run_dir.part("scores", 1, "aa").unlink()
    assert not run_dir.is_complete("scores", "aa")
    assert not run_dir.is_complete("scores", "bb")


def test_a_complete_stage_keeps_no_temporary_files(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_part("scores", 0, "aa", table(1))
    run_dir.scratch("scores").joinpath("search").mkdir(parents=True)
    (run_dir.scratch("scores") / "search" / "0-1.npz").touch()
    (tmp_path / "scores" / "part.1.working").touch()
    (tmp_path / "scores" / "notes.txt").touch()  # not a run's
    run_dir.complete("scores", StageRecord(fingerprint="aa", parts=1, seconds=0.0))
    left = sorted(path.name for path in (tmp_path / "scores").iterdir())
    assert left == ["notes.txt", "part-00000-aa.parquet"]


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    write_atomically(file, b"old")

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        RunDir(tmp_path).lock(),
        pytest.raises(RunError, match="another laion-eo"),
        RunDir(tmp_path).lock(),
    ):
        pass
    assert (tmp_path / ".lock").is_file()  # it marks the folder as a run's
    (tmp_path / "run.toml").touch()
    with RunDir(tmp_path).lock():
        pass


HOLD = """
import sys
from pathlib import Path
from laion_eo.pipeline.run_dir import RunDir
with RunDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.crash
def test_the_lock_of_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another laion-eo"), RunDir(tmp_path).lock():
            pass
        process.kill()
    with RunDir(tmp_path).lock():
        pass


def test_an_image_is_stored_once(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_image("ab.png", b"first")
    run_dir.write_image("ab.png", b"second")
    assert (run_dir.images / "ab.png").read_bytes() == b"first"


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "precious").write_text("mine")
    (tmp_path / "run.toml").write_text("mine")
    with pytest.raises(ConfigError, match="no run left; name a new or empty folder"):
        RunDir(tmp_path).lock().__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "run.toml"]
