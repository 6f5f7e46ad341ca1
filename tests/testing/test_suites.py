"""The suites fail broken components, each for its own reason, and say which it is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from laion_eo.testing.suites import SUITES, ComponentTests

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.py"))


class Results:
    """What became of each class of an inner run."""

    def __init__(self) -> None:
        self.classes: dict[str, type[ComponentTests]] = {}
        self.failures: dict[str, dict[str, str]] = {}
        self.passed: Counter[str] = Counter()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        cls = getattr(item, "cls", None)
        assert cls
        self.classes[cls.__name__] = cls

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cls, test = report.nodeid.split("::")[-2:]
        if report.failed:
            self.failures.setdefault(cls, {})[test] = report.longreprtext
        elif report.when == "call":
            self.passed[cls] += 1


def run(pytester: pytest.Pytester, path: Path, *options: str) -> Results:
    results = Results()
    kit = ("-p", "laion_eo.testing.fixtures", "-p", "no:cacheprovider")
    pytester.inline_run(*kit, *options, path, plugins=[results])
    return results


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_components_fail_each_for_its_own_reason(
    path: Path, pytester: pytest.Pytester
) -> None:
    results = run(pytester, path)
    assert len(results.classes) > 20
    for name, cls in results.classes.items():
        test, reason = cls.fails  # type: ignore[attr-defined]
        said = results.failures.get(name, {})
        assert test in said, f"{name} passes {test}; it fails {sorted(said)}"
        errors = [line for line in said[test].splitlines() if line.startswith("E ")]
        assert re.search(reason, "\n".join(errors)), f"{name}: {said[test]}"
        # What is broken in one way is whole in others: the suite did not just fall over.
        assert results.passed[name] >= 3, f"{name} fails {sorted(said)}"


def test_every_test_of_every_suite_fails_something(pytester: pytest.Pytester) -> None:
    covered: dict[type, set[str]] = {suite: set() for suite in SUITES.values()}
    common: set[str] = set()
    for path in BROKEN:
        for cls in run(pytester, path, "--collect-only").classes.values():
            test = cls.fails[0]  # type: ignore[attr-defined]
            for suite in covered:
                if issubclass(cls, suite):
                    covered[suite].add(test)
            common.add(test)
    for suite, tests in covered.items():
        own = {name for name in vars(suite) if name.startswith("test_")}
        assert own - tests == set(), suite.__name__
    assert {name for name in vars(ComponentTests) if name.startswith("test_")} <= common
