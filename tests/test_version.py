from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

import laion_eo
from laion_eo.cli import cli
from laion_eo.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_the_package_has_the_version_of_its_module() -> None:
    assert laion_eo.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", __version__)


def test_the_wheel_has_the_version_of_its_module() -> None:
    """Hatch reads it from the file that pyproject.toml names, without importing it."""
    regex = pytest.importorskip("hatchling.version.source.regex", reason="hatchling builds wheels")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" in project["project"]["dynamic"]
    source = regex.RegexSource(str(ROOT), project["tool"]["hatch"]["version"])
    assert source.get_version_data()["version"] == __version__


def test_an_installed_wheel_says_so_too() -> None:
    if "site-packages" not in Path(laion_eo.__file__).parts:
        pytest.skip("laion_eo is not installed here, but imported from its source")
    assert metadata.version("laion-eo") == __version__


def test_the_command_says_its_version() -> None:
    said = CliRunner().invoke(cli, ["--version"], prog_name="laion-eo")
    assert (said.exit_code, said.output) == (0, f"laion-eo, version {__version__}\n")
