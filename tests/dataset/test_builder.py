from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.exceptions import DatasetGenerationError
from fakes.hub_state import LoopbackHub
from made import made_rows

from laion_eo.dataset.builder import PUBLISHED_COMMIT, PUBLISHED_REPO, PUBLISHED_ROWS, LaionEO
from laion_eo.schema import PUBLISHED

ROWS = 112_985


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """As many rows as the published ver-1 has."""
    return made_rows(ROWS)


@pytest.fixture(scope="module")
def csv(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows as pandas writes them, which is how the published files came about."""
    path = tmp_path_factory.mktemp("published") / "metadata_public.csv"
    rows.to_pandas(integer_object_nulls=True).to_csv(path, index=False)
    return path


def build(cache: Path, **options: Any) -> pa.Table:
    builder = LaionEO(config_name=options.pop("name", "ver-1"), cache_dir=str(cache), **options)
    builder.download_and_prepare()
    table = builder.as_dataset(split="train").data.table
    return table.combine_chunks().replace_schema_metadata(None)


def test_published_csv_keeps_every_cell(rows: pa.Table, csv: Path, tmp_path: Path) -> None:
    table = build(tmp_path, data_files={"train": str(csv)})
    assert table.num_rows == ROWS
    assert table.schema == PUBLISHED
    captions = set(table["caption"].to_pylist())
    assert {"NA", "null", "nan", "None", None} <= captions
    assert any("\r\n" in caption for caption in captions if caption)
    assert table.equals(rows.combine_chunks())


def test_quoted_empty_cell_is_an_empty_string(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    header = ",".join(PUBLISHED.names)
    path.write_text(f'{header}\n1,u,f,2,0.5,"",0.5,0.5,3,4,,\n1,u,f,2,0.5,,0.5,0.5,3,4,en,1\n')
    table = build(tmp_path, data_files={"train": str(path)})
    assert table["caption"].to_pylist() == ["", None]
    assert table["lang"].to_pylist() == [None, "en"]


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    rows = made_rows(50)
    shuffled = rows.select(rows.column_names[::-1])
    shuffled.to_pandas().to_csv(tmp_path / "x.csv", index=False)
    pq.write_table(shuffled, tmp_path / "x.parquet")
    for name in ("x.csv", "x.parquet"):
        files = {"train": str(tmp_path / name)}
        assert build(tmp_path / name.replace(".", "-"), data_files=files) == rows


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_missing_column_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    rows = made_rows(5).drop_columns(["lang"])
    rows.to_pandas().to_csv(path) if ending == "csv" else pq.write_table(rows, path)
    with pytest.raises(DatasetGenerationError) as caught:
        build(tmp_path, data_files={"train": str(path)})
    assert "not a table of LAION-EO" in str(caught.value.__cause__)
    assert "lang" in str(caught.value.__cause__)


def test_published_repository(hub: LoopbackHub, csv: Path, rows: pa.Table, tmp_path: Path) -> None:
    hub.put(
        PUBLISHED_REPO, {"ver-1/metadata_public.csv": csv.read_bytes()}, commit=PUBLISHED_COMMIT
    )
    hub.put(PUBLISHED_REPO, {"ver-1/metadata_public.csv": b"changed since"})
    assert build(tmp_path).equals(rows.combine_chunks())
    streamed = LaionEO(config_name="ver-1").as_streaming_dataset(split="train")
    assert list(streamed.take(100)) == rows.slice(0, 100).to_pylist()


def test_other_number_of_rows_is_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    content = made_rows(24_932).to_pandas().to_csv(index=False).encode()
    hub.put(PUBLISHED_REPO, {"ver-0/metadata.csv": content}, commit=PUBLISHED_COMMIT)
    words = r"@\w{40}/ver-0/metadata\.csv: 24,932 rows, but ver-0 has 24,933: "
    with pytest.raises(ValueError, match=words):
        build(tmp_path, name="ver-0")
    with pytest.raises(ValueError, match=words):
        build(tmp_path, name="ver-0")  # nothing of it was kept
    assert PUBLISHED_ROWS["ver-0"] == 24_933


def test_damaged_download_is_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.put("org/x", {"ver-0/a.csv": made_rows(20).to_pandas().to_csv(index=False).encode()})
    hub.damaged.add("ver-0/a.csv")
    found, wanted = r"[0-9a-f]{64}", hub.repos["org/x"].file("main", "ver-0/a.csv").sha256
    words = rf"a\.csv: its SHA-256 is {found}, but that of the file in org/x is {wanted}"
    with pytest.raises(ValueError, match=words):
        build(tmp_path, name="ver-0", repo="org/x")


def test_missing_configuration_is_named(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.put("org/x", {"ver-0/a.csv": b"url\n"})
    with pytest.raises(FileNotFoundError, match=r"org/x has no ver-1/\*.parquet or ver-1/\*.csv"):
        build(tmp_path, repo="org/x")
    with pytest.raises(FileNotFoundError, match="org/x has no revision 'v9'"):
        build(tmp_path, repo="org/x", tag="v9")
    hub.put(PUBLISHED_REPO, {"ver-1/metadata_public.csv": b"by somebody else"})
    with pytest.raises(FileNotFoundError, match=f"no revision '{PUBLISHED_COMMIT}'"):
        build(tmp_path)
    with pytest.raises(ValueError, match=r"'ver-9' not found. Available: \['ver-0', 'ver-1'\]"):
        LaionEO(config_name="ver-9")
