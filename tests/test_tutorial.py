"""The tutorial of docs/plugins is run from the text of its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from processes import source_folders

from laion_eo.config import RunFile

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "plugins" / "tutorial.md"
MOST_LINES = 40


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The files of the page: each block begins with its name."""
    blocks = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    for name, text in blocks:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    points = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "tiles_plugin-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiles-plugin\nVersion: 0.1.0\n")
    lines = [f"{name} = {value}" for name, value in points["laion_eo"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[laion_eo]", *lines, ""]))
    return tmp_path


def call(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), *source_folders()])
    return subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_the_plugin_is_small(written: Path) -> None:
    assert len((written / "tiles_plugin.py").read_text().splitlines()) <= MOST_LINES


def test_its_tests_pass(written: Path) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-W", "error"]
    result = call(written, "-m", "pytest", *options, "tests")
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


COMMANDS = """
from laion_eo.cli import cli, main
cli.main(["plugins", "tiles"], standalone_mode=False)
main(["plan", "run.toml"])
"""


def test_it_is_listed_and_its_run_file_is_one(written: Path) -> None:
    assert RunFile.load(written / "run.toml").config.anchors.use == "tiles"
    result = call(written, "-c", COMMANDS)
    assert "from tiles-plugin 0.1.0" in result.stdout
    assert "side = 256" in result.stdout
    # Planned up to the data, which the reader has and this test has not.
    assert "map.png" in result.stderr or "pool" in result.stderr, result.stderr
