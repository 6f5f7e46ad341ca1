from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made import MakeRun, made_rows

from laion_eo.pipeline import RunResult

# mlcroissant 1.1 calls what rdflib 7 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
mlcroissant = pytest.importorskip("mlcroissant", reason="the test extra brings mlcroissant")


def test_croissant_is_valid_and_reads_the_rows(finished_run: RunResult) -> None:
    path = finished_run.dataset / "croissant-ver-0.json"
    dataset = mlcroissant.Dataset(jsonld=path)
    assert not dataset.metadata.issues.errors
    want = pq.read_table(finished_run.dataset / "ver-0").to_pylist()
    got = list(dataset.records("train"))
    assert len(got) == len(want) == 30
    assert [row["train/url"].decode() for row in got] == [row["url"] for row in want]
    assert [row["train/width"] for row in got] == [row["width"] for row in want]


def test_damaged_file_is_found(make_run: MakeRun) -> None:
    folder: Path = make_run() / "dataset"
    pq.write_table(made_rows(20, seed=1), folder / "ver-0" / "train-00000-of-00001.parquet")
    with pytest.raises(Exception, match=r"Download\(train-00000") as caught:
        list(mlcroissant.Dataset(jsonld=folder / "croissant-ver-0.json").records("train"))
    assert "hash" in str(caught.value.__cause__).lower()
