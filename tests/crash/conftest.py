"""The workload of a session, what it makes undisturbed, and a summary of what was hit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from crash.kills import Known, Undisturbed, undisturbed
from crash.states import State
from crash.workload import Workload, workload
from fakes.hub import loopback_hub

OUT = {"index": "pool", "run": "finished", "release": "finished", "pull": "pulled"}
NEEDS = {"run": "index", "release": "run", "pull": "run"}


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workload]:
    """The pool's server, the Hub and the run file."""
    with loopback_hub() as hub, workload(tmp_path_factory.mktemp("crash"), hub) as made:
        yield made


@pytest.fixture(scope="session")
def known(work: Workload) -> Known:
    """What each command makes if nothing disturbs it, and how long that takes."""

    @cache
    def of(command: str) -> Undisturbed:
        if command in NEEDS:
            of(NEEDS[command])
        return undisturbed(work, command, work.folder / OUT[command])

    return of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a case's command writes to."""
    return tmp_path / "out"


@pytest.fixture
def wanted_run(work: Workload, known: Known) -> State:
    """What a run makes; the servers are ready for another."""
    state = known("run").state
    work.prepare("run")
    return state


@pytest.fixture
def copied_run(work: Workload, wanted_run: State, out: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    shutil.copytree(work.folder / "finished", out)
    return out


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for by its marker."""
    if "crash" not in config.option.markexpr:
        here = Path(__file__).parent
        long = [x for x in items if here in x.path.parents and x.get_closest_marker("crash")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what each kill and each power loss hit, and how it ended."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    lines = sorted(_summary(report) for report in reports if "tests/crash/" in report.nodeid)
    if lines:
        terminalreporter.section("what was hit")
    for line in lines:
        terminalreporter.write_line(line)


def _summary(report: pytest.TestReport) -> str:
    case = report.nodeid.rpartition("::")[2]
    hit = dict(report.user_properties).get("hit", "")
    crash = getattr(report.longrepr, "reprcrash", None)
    return f"{report.outcome} {case} {hit} {crash.message.splitlines()[0] if crash else ''}"
