from __future__ import annotations

from pathlib import Path

import pytest

from laion_eo.builtin.publishers.folder import Folder
from laion_eo.component import Context
from laion_eo.errors import ConfigError
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
