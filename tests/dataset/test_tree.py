from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.dataset import tree


def test_a_tree_has_a_card_and_the_rows(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2, 3]})
    tree.write_tree(tmp_path / "out", "ver-0", table, "the card")
    assert (tmp_path / "out" / "README.md").read_text() == "the card"
    assert pq.read_table(tmp_path / "out" / "ver-0").equals(table)


def test_large_tables_are_sharded_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "ROWS_PER_SHARD", 2)
    table = pa.table({"x": [1, 2, 3]})
    tree.write_tree(tmp_path / "out", "ver-0", table, "the card")
    names = sorted(path.name for path in (tmp_path / "out" / "ver-0").iterdir())
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert pq.read_table(tmp_path / "out" / "ver-0").equals(table)


def test_an_older_tree_goes(tmp_path: Path) -> None:
    tree.write_tree(tmp_path / "out", "ver-0", pa.table({"x": [1]}), "old")
    tree.write_tree(tmp_path / "out", "ver-1", pa.table({"x": [2]}), "new")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "ver-1"}
