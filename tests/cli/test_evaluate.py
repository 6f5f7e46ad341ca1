from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from laion_eo.cli import main
from laion_eo.labels import read_labels, write_labels
from laion_eo.pipeline import RunResult


def say(capsys: pytest.CaptureFixture[str], *args: object, code: int = 0) -> str:
    """Run the command; return its stdout, or its stderr where it fails."""
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *map(str, args)])
    captured = capsys.readouterr()
    assert end.value.code == code, captured.err
    return captured.err if code else captured.out


@pytest.fixture
def folder(finished_run: RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run.folder, tmp_path / "run"))


def labelled(folder: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = say(capsys, folder, "--plan", 12, "--out", path)
    assert out == f"{path}: 12 images to label, 1 or 0 in the column `label`.\n"
    write_labels(path, [replace(label, label=True) for label in read_labels(path)])
    return path


def test_a_plan_and_its_receipt(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = labelled(folder, tmp_path / "labels.csv", capsys)
    out = say(capsys, folder, "--labels", path, "--width", 0.05)
    assert "| precision | 1.000 | " in out
    assert "For intervals 0.05 wide: " in out
    assert out.endswith(f"Written: {folder / 'receipt.json'}, and the card of the dataset.\n")


def test_json_and_quiet(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "labels.csv"
    planned = json.loads(say(capsys, folder, "--plan", 5, "--out", path, "--json"))
    assert planned == {"planned": 5, "out": str(path)}
    assert say(capsys, folder, "--plan", 12, "--out", path, "--quiet") == ""
    labelled(folder, path, capsys)
    receipt = json.loads(say(capsys, folder, "--labels", path, "--json"))
    assert receipt == json.loads((folder / "receipt.json").read_text())
    assert say(capsys, folder, "--labels", path, "--quiet") == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "nothing to evaluate it with: name --labels or --seeds"),
        (["--plan", 5], "--plan wants --out FILE"),
        (["--plan", 0, "--out", "x.csv"], "at least 1 label wanted, got 0"),
        (["--out", "x.csv"], "--out goes with --plan N"),
        (["--labels", "nowhere.csv"], "nowhere.csv: no such file of labels"),
        (["--seeds", "nowhere"], "nowhere: no such folder of pictures"),
        (["--labels", "x.csv", "--confidence", 2], "a confidence above 0 and below 1 wanted"),
    ],
)
def test_what_is_refused(
    finished_run: RunResult, capsys: pytest.CaptureFixture[str], args: list[object], said: str
) -> None:
    assert said in say(capsys, finished_run.folder, *args, code=2)


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no finished run" in say(capsys, tmp_path, "--labels", "x.csv", code=2)
