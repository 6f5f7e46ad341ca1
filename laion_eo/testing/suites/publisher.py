"""The suite of publishers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.kinds import Publisher, Release
from laion_eo.pipeline.contract import check_revision
from laion_eo.schema import PUBLISHED
from laion_eo.testing.suites.base import ComponentTests

CARD = """---
license: cc-by-4.0
configs:
- config_name: ver-0
  data_files: ver-0/train-*.parquet
---

# A dataset of a test
"""


def make_release(folder: Path, rows: int = 3) -> Release:
    """Write a small dataset as a run does, and return it.

    Args:
        folder: Where to.
        rows: Rows of the dataset.
    """
    table = pa.table([_column(field, rows) for field in PUBLISHED], schema=PUBLISHED)
    (folder / "ver-0").mkdir(parents=True)
    pq.write_table(table, folder / "ver-0" / "train-00000-of-00001.parquet")
    (folder / "README.md").write_text(CARD, "utf-8")
    return Release("ver-0", folder)


def _column(field: pa.Field, rows: int) -> pa.Array:
    if pa.types.is_string(field.type):
        return pa.array([f"{field.name} {row}" for row in range(rows)])
    return pa.array([row % 2 for row in range(rows)]).cast(field.type)


class PublisherTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Publisher`, which must publish to a place of the test's.

    Override :meth:`published` so that the suite can look at what was published.
    """

    def published(self, component: Publisher, revision: str) -> dict[str, bytes]:
        """Return what can be found under a revision: relative paths and contents."""
        raise NotImplementedError("override `published`: the suite must see what was published")

    def test_it_is_there_whole(self, component: Publisher, tmp_path: Path) -> None:
        """The card, and the files byte for byte, can be had under the revision.

        The card itself may say more than the release's: of other configurations at that place.
        """
        release = make_release(tmp_path / "dataset")
        revision = check_revision(component, component.publish(release))
        found = self.published(component, revision)
        assert b"# A dataset of a test" in found.get("README.md", b""), "README.md"
        for path in sorted(release.folder.rglob("*.parquet")):
            name = path.relative_to(release.folder).as_posix()
            assert found.get(name) == path.read_bytes(), name

    def test_the_same_again_is_no_error(self, component: Publisher, tmp_path: Path) -> None:
        """Publishing the same bytes again leaves them there: a run may be run again."""
        release = make_release(tmp_path / "dataset")
        component.publish(release)
        revision = component.publish(release)
        assert "README.md" in self.published(component, revision)

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
