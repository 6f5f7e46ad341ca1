"""A generated package is whole, and its tests pass as they are, installed as pip would."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from processes import source_folders

from laion_eo.errors import ConfigError
from laion_eo.kinds import KINDS, Kind
from laion_eo.scaffold import new_plugin, render

NAMES = [kind.name for kind in KINDS]


def install(package: Path, site: Path) -> None:
    """Put a package where Python finds it, with its entry points, as an editable install does."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(about)
    points = [f"{name} = {value}" for name, value in project["entry-points"]["laion_eo"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[laion_eo]", *points, ""]))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], dict[str, str]]:
    """A package of each kind, and an environment in which they are installed."""
    folder = tmp_path_factory.mktemp("packages")
    packages = [new_plugin(f"my-{kind}", kind, folder) for kind in NAMES]
    for package in packages:
        install(package, folder / "site")
    paths = [folder / "site", *packages, *source_folders()]
    return packages, {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def call(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True
    )


def test_every_kind_passes_its_tests_as_generated(
    installed: tuple[list[Path], dict[str, str]], tmp_path: Path
) -> None:
    packages, environment = installed
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\naddopts = --import-mode=importlib\n"
    )
    options = ["-q", "-p", "no:cacheprovider", "-p", "laion_eo.testing.fixtures", "--noconftest"]
    options += ["-c", str(tmp_path / "pytest.ini")]
    result = call(environment, "-m", "pytest", *options, *(str(one / "tests") for one in packages))
    assert result.returncode == 0, result.stdout
    assert " skipped" not in result.stdout


def test_every_kind_is_listed(installed: tuple[list[Path], dict[str, str]]) -> None:
    listed = call(installed[1], "-m", "laion_eo", "plugins")
    for kind in NAMES:
        assert f"my-{kind} 0.1.0" in listed.stdout
    assert not listed.stderr


def test_help_loads_no_component(installed: tuple[list[Path], dict[str, str]]) -> None:
    """It loads the plugins, for their commands."""
    code = (
        "import sys; sys.argv = ['laion-eo', '--help']\n"
        "from laion_eo.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(m for m in sys.modules if m.startswith('my_')))"
    )
    helped = call(installed[1], "-c", code)
    packages = sorted(f"my_{kind.replace('-', '_')}" for kind in NAMES)
    assert helped.stdout.splitlines()[-1].split() == ["LOADED", *packages]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_package_is_whole(kind: Kind) -> None:
    files = render("our-thing", kind)
    assert {"pyproject.toml", "README.md", "tox.ini", "tests/conftest.py"} < set(files)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["entry-points"] == {"laion_eo": {"our-thing": "our_thing"}}
    assert kind.table in files["README.md"]
    for path, text in files.items():
        assert text.endswith("\n"), path
        assert "{{" not in text, path
        if path.endswith(".py"):
            compile(text, path, "exec")


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("Beaches", "filter", "lower-case words-with-dashes"),
        ("../beaches", "filter", "lower-case words-with-dashes"),
        ("class", "filter", "lower-case words-with-dashes"),
        ("json", "filter", "there already"),
        ("laion-eo", "filter", "there already"),
        ("beaches", "filtre", "Did you mean 'filter'"),
    ],
)
def test_what_cannot_be_made(name: str, kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        new_plugin(name, kind, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "beaches").mkdir()
    with pytest.raises(ConfigError, match="there already"):
        new_plugin("beaches", "filter", tmp_path)
    assert not list((tmp_path / "beaches").iterdir())
