from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.files import WORKING, replaced_folder, write_atomically, written_aside

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc"]),
    min_size=1,
    max_size=40,
).filter(lambda name: name.strip(".") and len(name.encode()) < 150)
CONTENTS = st.binary(max_size=30)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(
    name=NAMES, before=st.none() | CONTENTS, after=CONTENTS, written=CONTENTS, fails=st.booleans()
)
def test_a_file_is_there_whole_or_as_it_was(
    name: str, before: bytes | None, after: bytes, written: bytes, fails: bool
) -> None:
    with TemporaryDirectory() as made:
        file = Path(made) / name
        if before is not None:
            file.write_bytes(before)
        unharmed = content_of(Path(made))
        if fails:
            with pytest.raises(KeyError), written_aside(file) as aside:
                aside.write_bytes(after[:5])
                raise KeyError
            assert content_of(Path(made)) == unharmed
        write_atomically(file, after)
        assert content_of(Path(made)) == {name: after}


FOLDERS = st.dictionaries(NAMES, CONTENTS, max_size=3)


@given(name=NAMES, before=st.none() | FOLDERS, after=FOLDERS, fails=st.booleans())
def test_a_folder_is_there_whole_or_as_it_was(
    name: str, before: dict[str, bytes] | None, after: dict[str, bytes], fails: bool
) -> None:
    with TemporaryDirectory() as made:
        folder = Path(made) / name
        if before is not None:
            fill(folder, before)
        if fails:
            with pytest.raises(KeyError), replaced_folder(folder) as aside:
                fill(aside, after)
                raise KeyError
            assert (content_of(folder) if folder.exists() else None) == before
        with replaced_folder(folder) as aside:
            fill(aside, after)
        assert content_of(folder) == after
        assert [path.name for path in Path(made).iterdir()] == [name]


def fill(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def test_the_folders_above_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "c", b"content")
    with replaced_folder(tmp_path / "d" / "e") as aside:
        assert list(aside.iterdir()) == []
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"content"
    assert (tmp_path / "d" / "e").is_dir()


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "taken", b"content")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("old")
    with pytest.raises(FileNotFoundError), replaced_folder(tmp_path / "data") as aside:
        shutil.rmtree(aside)
    assert (tmp_path / "data" / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


def test_a_file_or_a_link_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    for name in ("file", "link"):
        with pytest.raises(NotADirectoryError), replaced_folder(tmp_path / name):
            pass
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link", "elsewhere"}


def test_what_a_killed_process_left_is_swept_or_put_back(tmp_path: Path) -> None:
    fill(tmp_path / f".data{WORKING}", {"half": b"written"})
    fill(tmp_path / f".data.old{WORKING}", {"a": b"old"})
    with pytest.raises(KeyError), replaced_folder(tmp_path / "data") as aside:
        assert list(aside.iterdir()) == []
        raise KeyError
    assert content_of(tmp_path / "data") == {"a": b"old"}
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_cannot_sync_a_folder_will_do(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails will not."""
    sync = os.fsync

    def fails(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        sync(file)

    monkeypatch.setattr(os, "fsync", fails)
    if number == errno.EINVAL:
        write_atomically(tmp_path / "a", b"content")
        assert (tmp_path / "a").read_bytes() == b"content"
    else:
        with pytest.raises(OSError, match="Input/output"):
            write_atomically(tmp_path / "a", b"content")
