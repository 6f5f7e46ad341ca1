from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from laion_eo.cli import main
from laion_eo.pipeline import RunResult


def say(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main(["verify", *map(str, args)])
    code = end.value.code
    assert isinstance(code, int)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def altered(finished_run: RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run.folder, tmp_path / "run"))


def test_a_sound_run(finished_run: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = say(capsys, finished_run.folder)
    (line,) = out.splitlines()
    assert code == 0
    assert err == ""
    assert line.startswith(f"run {finished_run.folder}: ")
    assert line.endswith("rows checked: no fault.")


def test_faults_are_a_line_each(altered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = "dataset/ver-0/train-00000-of-00001.parquet"
    content = (altered / shard).read_bytes()
    (altered / shard).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (altered / "dataset" / "\x1b[31mred\n.txt").write_text("x")
    code, out, _ = say(capsys, altered)
    lines = out.splitlines()
    assert code == 1
    assert f"{shard}: its content has changed" in lines
    assert r"dataset/\x1b[31mred\n.txt: no record names it" in lines
    assert lines[-1].startswith("The same `laion-eo run` again")
    assert "\x1b" not in out


def test_as_json(altered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (altered / "mine.txt").write_text("x")
    (altered / "dataset/README.md").unlink()
    code, out, _ = say(capsys, altered, "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["kind"], found["sound"], found["path"]) == ("run", False, str(altered))
    assert {"where": "dataset/README.md", "what": "it is gone"} in found["faults"]
    assert found["checked"]["files"] > 50
    assert any("mine.txt" in note for note in found["notes"])


def test_quick(altered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((altered / "images").iterdir())
    path.write_bytes(bytes(path.stat().st_size))
    assert say(capsys, altered, "--quick")[0] == 0
    assert say(capsys, altered)[0] == 1


@pytest.mark.parametrize("name", ["nothing", "here"])
def test_what_is_nothing_of_ours(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    code, out, err = say(capsys, tmp_path / name)
    assert (code, out) == (2, "")
    assert err.startswith(f"laion-eo: {tmp_path / name}: ")
    assert len(err.splitlines()) == 1
