from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.cli import main
from laion_eo.pipeline import RunResult, run
from laion_eo.registry import Registry
from laion_eo.types import JSON


def say(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """Run the command, which ends well; return its stdout."""
    with pytest.raises(SystemExit) as end:
        main(["explain", *map(str, args)])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_an_image_that_is_kept(finished_run: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    out = say(capsys, finished_run.folder, 3)
    lines = out.splitlines()
    assert lines[0] == "id 3: kept, in the dataset"
    assert lines[1].startswith("  url         http://127.0.0.1:")
    assert "  found by    4 anchors, 4 hits:" in lines
    assert out.count("the anchor it is compared with") == 1
    assert "HTTP 200; 20" in out
    assert "300 x 300 PNG, " in out
    assert "width 300 >= 256 (+44); height 300 >= 256 (+44)" in out
    assert lines[-1].startswith("  dataset     dataset/ver-0/train-00000-of-00001.parquet, row ")


def test_an_image_that_is_dropped(
    finished_run: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    out = say(capsys, finished_run.folder, 50)
    assert out.startswith("id 50: dropped by min-size: 100 x 100 is below 256 x 256\n")
    assert "dropped      width 100 < 256 (-156)" in out
    assert "similarity-threshold  not reached" in out


def test_a_copy(finished_run: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert "  copy of     id 0, which was kept" in say(capsys, finished_run.folder, 51)
    assert "  copies      dropped for this one: id 51" in say(capsys, finished_run.folder, 0)


def test_as_json(finished_run: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(say(capsys, finished_run.folder, 50, "--json"))
    (image,) = found["images"]
    assert image["dropped_by"] == "min-size"
    assert image["filters"][0]["limits"][0]["margin"] == -156
    assert found["unfinished"] == []


@pytest.mark.parametrize("asked", ["123456", "http://example.org/x"])
def test_what_nobody_knows(
    asked: str, finished_run: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["explain", str(finished_run.folder), asked])
    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_foreign_text_does_nothing_to_the_terminal(
    run_data: dict[str, JSON],
    pool: Path,
    registry: Registry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("img_emb", "metadata"):
        shutil.copytree(pool / name, tmp_path / "pool" / name)
    (path,) = (tmp_path / "pool/metadata").glob("*.parquet")
    metadata = pq.ParquetFile(path).read()
    captions = ["\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj\r\nend" * 99] * metadata.num_rows
    place = metadata.schema.get_field_index("caption")
    pq.write_table(metadata.set_column(place, "caption", pa.array(captions)), path)
    run_data["retriever"]["pool"] = str(tmp_path / "pool")
    run(run_data, tmp_path / "run", registry=registry)
    out = say(capsys, tmp_path / "run", 3)
    assert all(line.isprintable() for line in out.split("\n"))
    assert max(map(len, out.splitlines())) < 2_000
    assert say(capsys, tmp_path / "run", 3, "--json").isascii()


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"column": "width", "max": 256}, "dropped  width 300 > 256 (-44); width 300 is above 256"),
        ({"column": "width", "max": 300}, "passed   width 300 <= 300 (+0)"),
        ({"column": "lang", "one_of": ["en"]}, "passed   lang en is one of en"),
        (
            {"column": "caption", "not_one_of": ["a gree field number 3"]},
            "dropped caption a gree field number 3 is one of a gree field number 3; caption 'a g",
        ),
        ({"column": "width", "not_one_of": [1, 2, 3, 4, 5, 6]}, "not one of 1, 2, 3, 4, 5 and 1 m"),
        ({"column": "lang", "nulls": "drop"}, "passed   lang en is a value"),
        ({"column": "fetched_at", "min": "2020-01-01"}, " >= 2020-01-01 (+"),
        ({"column": "status_reason", "not_one_of": ["x"]}, "passed status_reason is not one of x"),
    ],
)
def test_a_rule_on_a_column(
    rule: dict[str, JSON],
    line: str,
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = run_data | {"filters": [{"use": "column", **rule}]}
    out = say(capsys, run(data, tmp_path / "run", registry=registry).folder, 3)
    (said,) = [text for text in out.splitlines() if text.startswith("  filters")]
    assert " ".join(line.split()) in " ".join(said.split())
