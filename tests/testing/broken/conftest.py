"""Writes what became of each broken component: ``--outcomes FILE``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="where to write the outcomes, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--outcomes", None):
        config.pluginmanager.register(Outcomes(path))


class Outcomes:
    """What is expected of each class, what failed and how, and how many tests passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.classes: dict[str, dict[str, Any]] = {}

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        cls = getattr(item, "cls", None)
        assert cls
        test, reason = cls.fails
        if "name" not in vars(cls.component_cls):
            # A name of its own: a second component of a built-in's would fail for that.
            cls.component_cls.name = "broken"
        suites = [base.__name__ for base in cls.__mro__ if base.__name__.endswith("Tests")]
        about = {"test": test, "reason": reason, "suites": suites, "failures": {}, "passed": 0}
        self.classes.setdefault(cls.__name__, about)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cls, test = report.nodeid.split("::")[-2:]
        if report.failed:
            self.classes[cls]["failures"][test] = report.longreprtext
        elif report.when == "call":
            self.classes[cls]["passed"] += 1

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.classes), "utf-8")
