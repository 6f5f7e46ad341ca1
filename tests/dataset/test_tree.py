from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from made import made_rows

from laion_eo.dataset.tree import write_tree
from laion_eo.file_record import fault_of
from laion_eo.schema import PUBLISHED
from laion_eo.testing.strategies import captions, ids, urls
from laion_eo.types import JSON

HEAD = "---\nlicense: mit\npretty_name: X\n---\n"


def test_shards_and_page_index(tmp_path: Path) -> None:
    rows = made_rows(100)
    sizes: list[int] = []

    def card(size: int) -> str:
        sizes.append(size)
        return HEAD

    records = write_tree(tmp_path / "out", "ver-0", rows, card, rows_per_shard=40)
    shards = sorted((tmp_path / "out" / "ver-0").glob("*.parquet"))
    assert [path.name for path in shards] == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert [(record.path, record.rows) for record in records] == [
        *((f"ver-0/{path.name}", count) for path, count in zip(shards, (40, 40, 20), strict=True)),
        ("README.md", None),
        ("croissant-ver-0.json", None),
    ]
    assert [fault_of(tmp_path / "out", record) for record in records] == [None] * 5
    assert sizes == [sum(path.stat().st_size for path in shards)]
    assert pa.concat_tables(map(pq.read_table, shards)) == rows
    column = pq.ParquetFile(shards[0]).metadata.row_group(0).column(0)
    assert column.has_offset_index
    assert column.has_column_index


def test_an_older_tree_is_replaced(tmp_path: Path) -> None:
    for config in ("ver-0", "ver-1"):
        write_tree(tmp_path / "out", config, made_rows(1), lambda size: HEAD)
    assert (tmp_path / "out" / "ver-1").is_dir()
    assert not list((tmp_path / "out").glob("*ver-0*"))


CELLS: dict[str, st.SearchStrategy[JSON]] = {
    "source": ids(),
    "url": urls(),
    "filename": captions(),
    "id": ids(),
    "caption": st.none() | captions(),
    "lang": st.none() | st.sampled_from(["en", "de", "zh-Hans", ""]),
}
NUMBERS: dict[str, st.SearchStrategy[JSON]] = {
    "double": st.none() | st.floats(allow_nan=False),
    "int32": st.none() | st.integers(-(2**31), 2**31 - 1),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {f.name: CELLS[f.name] if f.name in CELLS else NUMBERS[str(f.type)] for f in PUBLISHED}
    ),
    max_size=4,
)


@given(ROWS)
def test_every_cell_comes_back(rows: list[dict[str, JSON]]) -> None:
    table = pa.Table.from_pylist(rows, schema=PUBLISHED)
    with TemporaryDirectory() as folder:
        write_tree(Path(folder) / "out", "ver-0", table, lambda size: HEAD)
        (shard,) = (Path(folder) / "out" / "ver-0").iterdir()
        read = pq.read_table(shard)
    assert read.schema.equals(PUBLISHED)
    assert read.to_pylist() == rows
