from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.hub_state import LoopbackHub
from made import made_rows

from laion_eo import load_dataset


def test_wrapper_loads_any_repository_and_revision(hub: LoopbackHub, tmp_path: Path) -> None:
    for rows in (10, 12):
        pq.write_table(made_rows(rows), tmp_path / "x.parquet")
        hub.put("org/x", {"ver-0/train.parquet": (tmp_path / "x.parquet").read_bytes()})
        if rows == 10:
            hub.repos["org/x"].tags["v1"] = hub.repos["org/x"].branches["main"]
    place = {"repo": "org/x", "cache_dir": str(tmp_path), "split": "train"}
    assert load_dataset("laion_eo", "ver-0", **place).to_list() == made_rows(12).to_pylist()
    old = load_dataset("laion_eo", "ver-0", revision="v1", **place)
    assert old.to_list() == made_rows(10).to_pylist()
    streamed = load_dataset("laion_eo", "ver-0", streaming=True, **place)
    assert list(streamed) == made_rows(12).to_pylist()


def test_other_names_are_datasets_own(tmp_path: Path) -> None:
    pq.write_table(made_rows(5), tmp_path / "a.parquet")
    files = str(tmp_path / "a.parquet")
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert loaded.to_list() == made_rows(5).to_pylist()
    with pytest.raises(ValueError, match="'ver-9' not found"):
        load_dataset("laion_eo", "ver-9")
