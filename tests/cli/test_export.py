from __future__ import annotations

from pathlib import Path

import pytest

from laion_eo.cli import main
from laion_eo.pipeline import RunResult


def command(*args: str) -> int:
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(args)
    return int(caught.value.code or 0)


def test_a_crate_is_written(
    finished_run: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rocrate", reason="the extra `crate` is not installed")
    out, run = str(tmp_path / "crate"), str(finished_run.folder)
    assert command("export", run, "--to", "ro-crate", "--out", out, "--with-tables") == 0
    assert capsys.readouterr().out == f"Exported: {out}\n"
    assert (tmp_path / "crate" / "ro-crate-metadata.json").is_file()
    assert list((tmp_path / "crate" / "scores").iterdir())
    assert command("export", run, "--to", "ro-crate", "--out", out) == 2
    said = capsys.readouterr().err
    assert said == f"laion-eo: {out}: is there already; name a new or empty folder with --out.\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--to", "zip", "--out", "x"), "'zip' is not 'ro-crate'"),
        (("--out", "x"), "Missing option '--to'"),
        (("--to", "ro-crate"), "Missing option '--out'"),
    ],
)
def test_wrong_commands(
    args: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", str(tmp_path), *args) == 2
    assert words in capsys.readouterr().err


def test_without_the_package_it_says_what_to_install(
    finished_run: RunResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("laion_eo.component.find_spec", lambda name: None)
    out = str(tmp_path / "crate")
    assert command("export", str(finished_run.folder), "--to", "ro-crate", "--out", out) == 2
    said = capsys.readouterr().err
    assert said == (
        "laion-eo: export --to ro-crate needs rocrate: pip install 'laion-eo[crate]'.\n"
    )
