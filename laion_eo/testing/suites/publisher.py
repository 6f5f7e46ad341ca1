"""The suite of publishers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.dataset.features import dataset_info
from laion_eo.dataset.tree import write_tree
from laion_eo.hub.cards import CARD, CardHead, ConfigEntry, DataFiles, join_card, mark_section
from laion_eo.kinds import Publisher, Release
from laion_eo.kinds.contract import check_revision
from laion_eo.schema import PUBLISHED
from laion_eo.testing.suites.base import ComponentTests

CONFIG = "ver-0"
HEADING = "# A dataset of a test"


def make_release(folder: Path, rows: int = 3) -> Release:
    """Write a small dataset as a run does, and return it.

    Args:
        folder: Where to.
        rows: Rows of the dataset.
    """
    table = pa.table([_column(field, rows) for field in PUBLISHED], schema=PUBLISHED)
    files = write_tree(folder, CONFIG, table, lambda size: _card(rows, table.nbytes, size))
    return Release(CONFIG, folder, files)


def _card(rows: int, nbytes: int, download: int) -> str:
    files = DataFiles(split="train", path=f"{CONFIG}/train-*.parquet")
    head = CardHead(
        license="cc-by-4.0",
        pretty_name="A dataset of a test",
        configs=(ConfigEntry(config_name=CONFIG, data_files=(files,)),),
        dataset_info=(dataset_info(CONFIG, rows, nbytes, download),),
    )
    return join_card(head, f"{HEADING}\n\n{mark_section(CONFIG, '## Its rows')}")


def _column(field: pa.Field, rows: int) -> pa.Array:
    if field.name == "url":
        return pa.array([f"https://pictures.example.org/{row}.jpg" for row in range(rows)])
    if pa.types.is_string(field.type):
        return pa.array([f"{field.name} {row}" for row in range(rows)])
    return pa.array([row % 2 for row in range(rows)]).cast(field.type)


class PublisherTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Publisher`, which must publish to a place of the test's.

    Override :meth:`published` so that the suite can inspect what was published.
    """

    def published(self, component: Publisher, revision: str) -> dict[str, bytes]:  # noqa: ARG002 - for subclasses
        """Return what can be found under a revision: relative paths and contents."""
        pytest.fail("override `published`: the suite must see what was published")

    def test_it_is_there_complete(self, component: Publisher, tmp_path: Path) -> None:
        """The card, and the files byte for byte, are available under the revision.

        The card itself may say more than the release's: of other configurations at that place.
        """
        release = make_release(tmp_path / "dataset")
        revision = check_revision(component, component.publish(release))
        found = self.published(component, revision)
        assert HEADING.encode() in found.get(CARD, b""), CARD
        for path in sorted(release.folder.rglob("*.parquet")):
            name = path.relative_to(release.folder).as_posix()
            assert found.get(name) == path.read_bytes(), name

    def test_the_same_again_is_no_error(self, component: Publisher, tmp_path: Path) -> None:
        """Publishing the same bytes again leaves them there: a run may be run again."""
        release = make_release(tmp_path / "dataset")
        component.publish(release)
        revision = component.publish(release)
        assert CARD in self.published(component, revision)

    def test_a_newer_one_replaces_it(self, component: Publisher, tmp_path: Path) -> None:
        """Another dataset has another revision, and its files are found under it."""
        first = component.publish(make_release(tmp_path / "first"))
        release = make_release(tmp_path / "second", rows=5)
        second = component.publish(release)
        assert first != second
        found = self.published(component, second)
        (name,) = (path for path in found if path.endswith(".parquet"))
        assert pq.read_table(pa.BufferReader(found[name])).num_rows == 5

    def test_the_dataset_is_left_alone(self, component: Publisher, tmp_path: Path) -> None:
        """The run directory's dataset is not moved or changed."""
        release = make_release(tmp_path / "dataset")
        before = {p: p.read_bytes() for p in release.folder.rglob("*") if p.is_file()}
        component.publish(release)
        assert before == {p: p.read_bytes() for p in release.folder.rglob("*") if p.is_file()}
