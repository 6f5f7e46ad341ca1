from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from laion_eo.builtin.publishers.folder import Folder
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.file_record import record_file
from laion_eo.kinds import Release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    folder = tmp_path / "run" / "dataset"
    (folder / "ver-0").mkdir(parents=True)
    (folder / "README.md").write_text("card")
    (folder / "ver-0" / "train-00000-of-00001.parquet").write_bytes(b"rows")
    return recorded(folder)


def recorded(folder: Path) -> Release:
    """The release of what is in a folder now."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return Release("ver-0", folder, tuple(record_file(folder, path) for path in paths))


def publish(release: Release, path: Path | None) -> str:
    return Folder(Folder.Config(path=path), Context()).publish(release)


def test_the_revision_is_of_the_content(release: Release) -> None:
    first = publish(release, None)
    assert publish(release, None) == first
    (release.folder / "README.md").write_text("another card")
    assert publish(recorded(release.folder), None) != first


def test_the_copy_is_whole_and_can_be_replaced(release: Release, tmp_path: Path) -> None:
    target = tmp_path / "out"
    publish(release, target)
    (release.folder / "README.md").write_text("another card")
    publish(recorded(release.folder), target)
    assert (target / "README.md").read_text() == "another card"
    assert (target / "ver-0" / "train-00000-of-00001.parquet").read_bytes() == b"rows"


def test_a_folder_of_other_things_is_left_alone(release: Release, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("dear to somebody")
    with pytest.raises(ConfigError, match="chapter1.tex"):
        publish(release, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_only_what_is_of_the_dataset_is_copied(release: Release, tmp_path: Path) -> None:
    (release.folder / "ver-0" / "secrets.env").write_text("TOKEN=1")
    (release.folder / "ver-0" / "more").mkdir()
    (release.folder / "ver-0" / "passwd").symlink_to("/etc/passwd")
    publish(release, tmp_path / "out")
    found = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")
    }
    assert found == {"README.md", "ver-0", "ver-0/train-00000-of-00001.parquet"}


@pytest.mark.parametrize("name", ["README.md", "ver-0/train-00000-of-00001.parquet", "ver-0"])
def test_a_link_is_not_followed(name: str, release: Release, tmp_path: Path) -> None:
    (release.folder / name).rename(tmp_path / "elsewhere")
    (release.folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="it is a link"):
        publish(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_changed_is_not_copied(release: Release, tmp_path: Path) -> None:
    (release.folder / "README.md").write_text("cars")
    with pytest.raises(DataError, match=r"README\.md: its content has changed"):
        publish(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["../README.md", "/etc/passwd"])
def test_a_record_of_what_lies_elsewhere(path: str, release: Release, tmp_path: Path) -> None:
    (tmp_path / "run" / "README.md").write_text("card")
    records = (release.files[0].model_copy(update={"path": path}), *release.files[1:])
    with pytest.raises(DataError, match="it lies elsewhere"):
        publish(replace(release, files=records), tmp_path / "out")
