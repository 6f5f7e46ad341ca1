from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from laion_eo.file_record import SAMPLED_ABOVE, FileRecord, digest_of, fault_of, record_file


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_record_says_what_a_file_was(tmp_path: Path) -> None:
    file = write(tmp_path / "scores" / "part", b"content")
    record = record_file(tmp_path, file, rows=3)
    digest = hashlib.sha256(b"content").hexdigest()
    assert record == FileRecord(path="scores/part", bytes=7, sha256=digest, rows=3)
    assert fault_of(tmp_path, record) is None
    assert fault_of(tmp_path, FileRecord.model_validate_json(record.model_dump_json())) is None


def make_folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (Path.unlink, "it is gone"),
    "empty": (lambda path: path.write_bytes(b""), "it has 0 bytes instead of 7"),
    "flipped": (lambda path: path.write_bytes(b"cOntent"), "its content has changed"),
    "a folder": (make_folder_of, "it is no file"),
    "a link": (
        lambda path: path.symlink_to(path.rename(path.with_name("real"))),
        "it is a link, or lies elsewhere",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said(fault: str, tmp_path: Path) -> None:
    file = write(tmp_path / "file", b"content")
    record = record_file(tmp_path, file)
    change, said = FAULTS[fault]
    change(file)
    assert fault_of(tmp_path, record) == said


@pytest.mark.parametrize("path", ["../file", "a/../../file", "/etc/hostname"])
def test_a_record_speaks_of_its_own_folder_only(path: str, tmp_path: Path) -> None:
    record = record_file(tmp_path, write(tmp_path / "file", b"content"))
    (tmp_path / "below").mkdir()
    moved = record.model_copy(update={"path": path})
    assert fault_of(tmp_path / "below", moved) == "it is a link, or lies elsewhere"


@pytest.mark.parametrize("change", [{"sha256": "x" * 64}, {"bytes": -1}, {"path": ""}])
def test_a_damaged_record_is_none(change: dict[str, object], tmp_path: Path) -> None:
    record = record_file(tmp_path, write(tmp_path / "file", b"content"))
    with pytest.raises(ValidationError):
        FileRecord.model_validate(record.model_dump() | change)


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as stream:
        stream.truncate(size)
    return path


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"x")


@pytest.mark.parametrize("place", [0, -1])
def test_a_large_file_is_compared_by_a_sample(place: int, tmp_path: Path) -> None:
    size = SAMPLED_ABOVE + 1
    file = sparse(tmp_path / "vectors", size)
    record = record_file(tmp_path, file)
    assert fault_of(tmp_path, record) is None
    flip(file, place % size)
    assert fault_of(tmp_path, record) == "its content has changed"


def test_all_of_a_large_file_is_compared_if_asked_for(tmp_path: Path) -> None:
    file = sparse(tmp_path / "vectors", SAMPLED_ABOVE + 1)
    record = record_file(tmp_path, file)
    flip(file, 100_000)  # between the first two pieces of the sample
    assert fault_of(tmp_path, record) is None
    assert fault_of(tmp_path, record, thorough=True) == "its content has changed"


def test_the_digest_of_records_is_of_names_and_contents(tmp_path: Path) -> None:
    one, two = (record_file(tmp_path, write(tmp_path / n, n.encode())) for n in "ab")
    assert digest_of([one, two]) != digest_of([two, one])
    assert digest_of([one]) != digest_of([one.model_copy(update={"path": "c"})])
    assert digest_of([one]) == digest_of([one.model_copy(update={"rows": 5})])
