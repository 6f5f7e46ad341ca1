"""The suites fail broken components, each for its own reason, and say which it is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import source_folders

from laion_eo.testing.suites import SUITES, ComponentTests

BROKEN = Path(__file__).parent / "broken"
SHARED = {name for name in vars(ComponentTests) if name.startswith("test_")}
FILES = sorted(path for path in BROKEN.glob("*.py") if path.name != "conftest.py")


def outcomes(tmp_path: Path, *arguments: str | Path) -> dict[str, dict[str, Any]]:
    """Run broken components in a pytest of their own."""
    report = tmp_path / "outcomes.json"
    options = ["-q", "-p", "no:cacheprovider", "-p", "laion_eo.testing.fixtures"]
    options += ["--tb=short", "--import-mode=importlib", "-c", "/dev/null", f"--rootdir={BROKEN}"]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(
        [*command, f"--confcutdir={BROKEN}", f"--outcomes={report}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(source_folders())},
        capture_output=True,
        text=True,
        timeout=600,
    )
    # 0 and 1: all tests were run, whether they passed or not.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads(report.read_text("utf-8"))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_broken_components_fail_each_for_its_own_reason(path: Path, tmp_path: Path) -> None:
    found = outcomes(tmp_path, path)
    assert len(found) > 20
    for name, about in found.items():
        test, failures = about["test"], about["failures"]
        assert test in failures, f"{name} passes {test}; it fails {sorted(failures)}"
        errors = [line for line in failures[test].splitlines() if line.startswith("E ")]
        assert re.search(about["reason"], "\n".join(errors)), f"{name}: {failures[test]}"
        # What is broken in one way is whole in others: the suite did not just fall over.
        assert test in SHARED or not SHARED & set(failures), f"{name} fails {sorted(failures)}"
        assert about["passed"] >= 3, f"{name} fails {sorted(failures)}"


def broken_classes(path: Path) -> Iterator[type]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return (value for value in vars(module).values() if hasattr(value, "fails"))


def test_every_test_of_every_suite_fails_something() -> None:
    found = [cls for path in FILES for cls in broken_classes(path)]
    suites: list[type] = [ComponentTests, *SUITES.values()]
    for suite in suites:
        tested = {vars(cls)["fails"][0] for cls in found if issubclass(cls, suite)}
        assert {name for name in vars(suite) if name.startswith("test_")} <= tested, suite.__name__
