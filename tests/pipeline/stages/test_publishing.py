from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from laion_eo.builtin.publishers.folder import Folder
from laion_eo.errors import RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Publisher, Release
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON


class Server(Folder):
    """A server that is there or not, and says whether a record spoke of what it was handed."""

    name = "server"
    summary = "for these tests"
    down = False
    recorded: list[bool]

    def publish(self, release: Release) -> str:
        assert self.context.work_dir
        self.recorded.append(RunDir(self.context.work_dir).record("dataset") is not None)
        if self.down:
            raise RunError("the server is down")
        return super().publish(release)

    def facts(self) -> dict[str, JSON]:
        return {"server": "ours", "revision": "said by the publisher itself"}


class Listener:
    """Offers the server, and hears of progress."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def laion_eo_publishers(self) -> list[type[Publisher]]:
        return [Server]

    @hookimpl
    def laion_eo_after_batch(self, stage: str, done: int, total: int) -> None:
        self.heard.append(f"{stage} {done}/{total}")


@pytest.fixture
def finished(finished_run: RunResult, tmp_path: Path) -> Path:
    """A copy of the finished run, for a run over the same files that publishes elsewhere."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "run"))


def test_publishing_is_a_step_with_a_record(run_data: dict[str, JSON], finished: Path) -> None:
    Server.recorded, Server.down = [], False
    listener = Listener()
    data = run_data | {"publisher": {"use": "server"}}
    result = run(data, finished, registry=Registry.discover([colours, listener]))
    assert result.ran == ["dataset"]
    assert listener.heard == ["dataset 0/1", "dataset 1/1"]
    record = result.manifest["stages"]["dataset"]
    assert record["parts"] == 0
    assert record["counts"] == {"rows": result.manifest["stages"]["verdicts"]["counts"]["kept"]}
    facts = record["facts"]["server"]
    assert facts["server"] == "ours"
    assert len(facts["revision"]) == 16
    assert Server.recorded == [False]


def test_a_publisher_that_fails_is_asked_again(run_data: dict[str, JSON], finished: Path) -> None:
    Server.recorded, Server.down = [], True
    registry = Registry.discover([colours, Listener()])
    data = run_data | {"publisher": {"use": "server"}}
    with pytest.raises(RunError, match="the server is down"):
        run(data, finished, registry=registry)
    assert RunDir(finished).record("dataset") is None
    Server.down = False
    assert run(data, finished, registry=registry).ran == ["dataset"]
    assert run(data, finished, registry=registry).ran == []
    assert Server.recorded == [False, False]
