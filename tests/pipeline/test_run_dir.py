from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from laion_eo.errors import ConfigError, RunError
from laion_eo.file_record import record_file
from laion_eo.files import write_atomically
from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.run_dir import RunDir


def table(*values: int) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.int64())})


SCORES = Work("scores", "aa")


def made(run_dir: RunDir, work: Work, *tables: pa.Table) -> RunDir:
    """Do a stage to its end."""
    run_dir.begin(work)
    for index, part in enumerate(tables):
        run_dir.write_part(work, index, part)
    if work.step == "dataset":
        there = sorted(path for path in run_dir.dataset.rglob("*") if path.is_file())
        files = tuple(record_file(run_dir.path, path) for path in there)
    else:
        files = run_dir.files_of(work)
    parts = len(tables)
    record = StageRecord(
        fingerprint=work.fingerprint,
        inputs=dict(work.inputs),
        parts=parts,
        files=files,
        seconds=0.0,
    )
    run_dir.complete(work.step, record)
    return run_dir


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_parts_of_one_fingerprint_make_the_table(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    other = Work("scores", "bb")
    run_dir.begin(SCORES)
    run_dir.write_part(SCORES, 0, table(9))
    run_dir.begin(other)
    run_dir.write_part(other, 1, table(2))
    run_dir.write_part(other, 0, table(1))
    assert run_dir.done(other) == {0, 1}
    files = run_dir.files_of(other)
    assert [file.rows for file in files] == [1, 1]
    run_dir.complete("scores", StageRecord(fingerprint="bb", parts=2, files=files, seconds=0.0))
    assert run_dir.read("scores")["x"].to_pylist() == [1, 2]
    assert names(tmp_path / "scores") == ["part-00000-bb.parquet", "part-00001-bb.parquet"]
    assert names(tmp_path / ".stages") == ["scores.json"]


def test_a_stage_that_is_not_complete_cannot_be_read(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.begin(SCORES)
    run_dir.write_part(SCORES, 0, table(1))
    with pytest.raises(RunError, match="'scores' is not complete"):
        run_dir.read("scores")


@pytest.mark.parametrize(
    ("old", "new"), [("{", ""), ('"parts": 1', '"parts": 2'), ('"aa"', '"ab"'), ("x", "")]
)
def test_a_damaged_record_counts_as_none(old: str, new: str, tmp_path: Path) -> None:
    run_dir = made(RunDir(tmp_path), SCORES, table(1))
    file = tmp_path / ".stages" / "scores.json"
    assert run_dir.record("scores") is not None
    file.write_text(new if old == "x" else file.read_text().replace(old, new, 1))
    assert run_dir.record("scores") is None
    run_dir.begin(SCORES)
    assert run_dir.done(SCORES) == set()  # nothing vouches for its part any more
    assert names(tmp_path / "scores") == []


def test_a_record_goes_before_its_output_is_touched(tmp_path: Path) -> None:
    run_dir = made(RunDir(tmp_path), SCORES, table(1))
    run_dir.dataset.mkdir()
    dataset = Work("dataset", "aa")
    made(run_dir, dataset)
    assert run_dir.is_complete(SCORES)
    assert run_dir.is_complete(dataset)

    run_dir.begin(Work("dataset", "bb"))  # written in place
    assert run_dir.record("dataset") is None

    other = Work("scores", "bb")
    run_dir.begin(other)  # in files of another name: what is there stays true
    run_dir.write_part(other, 0, table(2))
    assert run_dir.is_complete(SCORES)
    assert not run_dir.is_complete(other)
    assert run_dir.read("scores")["x"].to_pylist() == [1]

    run_dir.begin(SCORES)  # a part was lost, say: made again in its place
    assert run_dir.record("scores") is None


def damaged(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    return {
        "emptied": b"",
        "cut": content[:middle],
        "zeroed": bytes(len(content)),
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }[how]


@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "zeroed", "flipped"])
@pytest.mark.parametrize("complete", [True, False])
def test_a_part_that_is_not_what_was_written_is_made_again(
    complete: bool, how: str, tmp_path: Path
) -> None:
    run_dir = made(RunDir(tmp_path), SCORES, table(0), table(1))
    if not complete:
        run_dir.begin(SCORES)
        assert run_dir.done(SCORES) == {0, 1}
    part = run_dir.part(SCORES, 1)
    if how == "removed":
        part.unlink()
    else:
        part.write_bytes(damaged(part.read_bytes(), how))
    for same in (run_dir, RunDir(tmp_path)):
        assert not same.is_complete(SCORES)
        assert bool(same.damage("scores")) is complete
        assert part not in same.sound_parts("scores")
    run_dir.begin(SCORES)
    assert run_dir.done(SCORES) == {0}
    assert not part.exists()


def test_parts_made_of_other_inputs_are_not_taken_over(tmp_path: Path) -> None:
    before, after = (Work("scores", "aa", {"downloads": digest}) for digest in ("d1", "d2"))
    run_dir = made(RunDir(tmp_path), before, table(1))
    assert run_dir.is_complete(before)
    assert not run_dir.is_complete(after)
    run_dir.begin(after)
    assert run_dir.done(after) == set()
    run_dir.write_part(after, 0, table(2))
    run_dir.begin(before)  # the same fingerprint, begun with other inputs
    assert run_dir.done(before) == set()


def test_the_inputs_of_a_step_change_with_what_the_others_left(tmp_path: Path) -> None:
    run_dir = made(RunDir(tmp_path), Work("downloads", "dd"), table(1))
    work = run_dir.work("scores", "aa", ["downloads"])
    made(run_dir, Work("downloads", "dd"), table(1))
    assert run_dir.work("scores", "aa", ["downloads"]) == work
    made(run_dir, Work("downloads", "dd"), table(2))
    assert run_dir.work("scores", "aa", ["downloads"]) != work


def test_what_does_not_belong_into_the_dataset_is_damage(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    (run_dir.dataset / "ver-0").mkdir(parents=True)
    (run_dir.dataset / "README.md").touch()
    made(run_dir, Work("dataset", "aa"))
    assert run_dir.damage("dataset") is None
    (run_dir.dataset / "ver-0" / "link").symlink_to(tmp_path)
    assert run_dir.damage("dataset") == "dataset/ver-0/link: it is not of this run"
    (run_dir.dataset / "ver-0" / "link").unlink()
    run_dir.dataset.rename(tmp_path / "elsewhere")
    run_dir.dataset.symlink_to(tmp_path / "elsewhere")
    assert run_dir.damage("dataset") == "dataset: it is a link"


def test_parts_that_are_gone_end_the_stage(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.begin(SCORES)
    run_dir.write_part(SCORES, 0, table(0))
    run_dir.write_part(SCORES, 2, table(2))
    with pytest.raises(RunError, match="parts are gone that were there"):
        run_dir.files_of(SCORES)
    run_dir.write_part(SCORES, 1, table(1))
    with pytest.raises(RunError, match="parts are gone"):
        run_dir.files_of(SCORES, 4)
    assert len(run_dir.files_of(SCORES, 3)) == 3
    shutil.rmtree(tmp_path / "scores")
    with pytest.raises(RunError, match="parts are gone"):
        run_dir.files_of(SCORES, 3)


def test_a_damaged_part_of_a_complete_stage_is_one_line(tmp_path: Path) -> None:
    run_dir = made(RunDir(tmp_path), SCORES, table(1))
    for damage in (Path.unlink, lambda path: path.write_bytes(b"PAR1")):
        damage(run_dir.part(SCORES, 0))
        with pytest.raises(RunError, match="gone or damaged since it was written") as caught:
            run_dir.read("scores")
        assert "\n" not in str(caught.value)


def test_the_lock_sweeps_what_a_killed_process_left(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    with run_dir.lock():
        made(run_dir, SCORES, table(1))
        run_dir.begin(Work("scores", "bb"))
        run_dir.write_part(Work("scores", "bb"), 0, table(2))
    (tmp_path / "images").mkdir()
    kept = {
        "scores/part-00000-aa.parquet",
        "scores/part-00000-bb.parquet",
        "scores/notes.txt",
        "images/cd.png",
        ".dataset.old.working",
    }
    for name in (
        *sorted(kept)[1:],
        "manifest.json.1.working",
        ".stages/scores.json.1.working",
        "scores/part.2.working",
        "scores/part-00001-aa.parquet",
        "images/ab.png.3.working",
    ):
        (tmp_path / name).touch()
    for folder in (".dataset.working", ".dataset.old.working"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "README.md").write_text(folder)
    with run_dir.lock():
        pass
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {name for name in left if "working" in name} == set()
    assert (tmp_path / "dataset" / "README.md").read_text() == ".dataset.old.working"
    assert kept - {".dataset.old.working"} <= left
    assert "scores/part-00001-aa.parquet" not in left


def test_a_complete_stage_keeps_no_temporary_files(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.scratch("scores").joinpath("search").mkdir(parents=True)
    (run_dir.scratch("scores") / "search" / "0-1.npz").touch()
    (tmp_path / "scores" / "journal-12.jsonl").touch()
    (tmp_path / "scores" / "notes.txt").touch()  # not a run's
    made(run_dir, SCORES, table(1))
    assert names(tmp_path / "scores") == ["notes.txt", "part-00000-aa.parquet"]


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


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "precious").write_text("mine")
    (tmp_path / "run.toml").write_text("mine")
    with pytest.raises(ConfigError, match="no run left; name a new or empty folder"):
        RunDir(tmp_path).lock().__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "run.toml"]
