from __future__ import annotations

import os
from pathlib import Path

import pytest

from laion_eo.file_record import FileRecord
from laion_eo.pipeline.manifest import Seal, StageRecord
from laion_eo.pipeline.records import Records, Work

FILE = FileRecord(path="scores/part-00000-aa.parquet", bytes=3, sha256="ab" * 32, rows=1)
RECORD = StageRecord(fingerprint="aa", parts=1, files=(FILE,), seconds=0.5, counts={"rows": 1})
WORK = Work("scores", "aa", {"downloads": "dd"})


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / ".stages")


def test_a_record_comes_back_as_it_was(records: Records) -> None:
    assert records.load("scores") is None
    records.save("scores", RECORD)
    assert records.load("scores") == RECORD
    records.remove("scores")
    records.remove("scores")
    assert records.load("scores") is None


def test_a_seal_comes_back_as_it_was(records: Records) -> None:
    assert records.seal() is None
    records.save_seal(Seal(files=(FILE,)))
    assert records.seal() == Seal(files=(FILE,))


@pytest.mark.parametrize("place", range(0, 300, 7))
def test_a_record_with_a_flipped_bit_is_none(place: int, records: Records) -> None:
    records.save("scores", RECORD)
    path = records.folder / "scores.json"
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])
    # Between the values JSON ignores a space that becomes a line feed, and so on.
    assert records.load("scores") in (None, RECORD)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"checksum": 1}', "[" * 100_000])
def test_what_is_no_record_is_none(text: str, records: Records) -> None:
    records.folder.mkdir()
    (records.folder / "scores.json").write_text(text)
    assert records.load("scores") is None


def test_a_journal_of_work_holds_its_files(records: Records) -> None:
    assert not records.begun(WORK)
    records.begin(WORK, [FILE])
    again = FILE.model_copy(update={"bytes": 4})
    other = FILE.model_copy(update={"path": "scores/part-00001-aa.parquet"})
    records.add(WORK, other)
    records.add(WORK, again)
    assert records.begun(WORK)
    assert records.finished_of(WORK) == [again, other]  # the latest of a name, in order
    assert not records.begun(Work("scores", "aa", {"downloads": "d2"}))
    assert records.finished_of(Work("scores", "aa", {"downloads": "d2"})) == []
    assert [path.name for path in records.progress_paths("scores")] == ["scores.aa.progress"]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_damaged_line_of_a_journal_vouches_for_nothing(line: int, records: Records) -> None:
    records.begin(WORK, [FILE])
    records.add(WORK, FILE.model_copy(update={"path": "scores/part-00001-aa.parquet"}))
    (path,) = records.progress_paths("scores")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"a", b"b", 1)
    path.write_bytes(b"".join(lines))
    left = [file.path[12:17] for file in records.finished_of(WORK)]
    assert left == [[], ["00001"], ["00000"]][line]


def test_a_pipe_is_no_record(records: Records) -> None:
    """Nobody writes into it: who reads it waits for ever."""
    records.folder.mkdir()
    os.mkfifo(records.folder / "scores.json")
    assert records.load("scores") is None
