from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.errors import RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import KINDS, Downloader
from laion_eo.pipeline import plan, run
from laion_eo.pipeline.manifest import Manifest, Session
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages import STAGES
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON, Download

STRICT = ["filters.similarity-threshold.sigma=0.5"]
TABLES = [stage.name for stage in STAGES if stage.name != "verdicts"]
BELOW_FILTER = ["verdicts", "dataset"]


class Upgrade:
    """Another laion-eo and another torch, as far as anything can tell."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch

    def to(self, laion_eo: str, torch: str) -> None:
        about = self._folder / laion_eo / f"torch-{torch}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {torch}\n")
        self._patch.syspath_prepend(about.parent)
        self._patch.setattr("laion_eo.version.__version__", laion_eo)


@pytest.fixture
def upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upgrade:
    return Upgrade(tmp_path / "site", monkeypatch)


def makers(folder: Path) -> dict[str, list[tuple[str, int]]]:
    """The laion-eo and the number of parts of each maker of each step."""
    return {
        name: [
            (maker.software.laion_eo, sum(b - a + 1 for a, b in maker.parts))
            for maker in record.made_by
        ]
        for name, record in Manifest.load(folder).stages.items()
    }


def history(folder: Path) -> list[tuple[str, str | None, list[str]]]:
    """The laion-eo of each session, how it ended, and what it completed."""
    return [
        (session.software.laion_eo, session.outcome, [done.step for done in session.stages])
        for session in Manifest.load(folder).history
    ]


class Stop:
    """Ends a run once so many parts of a stage are there."""

    def __init__(self, stage: str, parts: int, error: BaseException) -> None:
        self._stage, self._parts, self._error = stage, parts, error

    @hookimpl
    def laion_eo_after_batch(self, stage: str, done: int) -> None:
        if (stage, done) == (self._stage, self._parts):
            raise self._error


def stopped(data: dict[str, JSON], folder: Path, stage: str, error: BaseException) -> None:
    with pytest.raises(type(error)):
        run(data, folder, registry=Registry.discover([colours, Stop(stage, 2, error)]))


def test_each_stage_says_what_made_it_after_an_upgrade(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, upgrade: Upgrade
) -> None:
    folder = tmp_path / "run"
    upgrade.to("0.8.0", "2.3.0")
    run(run_data, folder, registry=registry)
    upgrade.to("0.9.0", "2.4.0")
    assert run(run_data, folder, STRICT, registry).ran == BELOW_FILTER

    manifest = Manifest.load(folder)
    assert (manifest.laion_eo, manifest.packages["torch"]) == ("0.9.0", "2.4.0")
    for name, record in manifest.stages.items():
        version = ("0.9.0", "2.4.0") if name in BELOW_FILTER else ("0.8.0", "2.3.0")
        (maker,) = record.made_by
        assert (maker.software.laion_eo, maker.software.packages["torch"]) == version
    assert history(folder) == [
        ("0.8.0", "done", [*TABLES, *BELOW_FILTER]),
        ("0.9.0", "done", BELOW_FILTER),
    ]


def test_a_maker_knows_plugins_machine_and_times(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run(run_data, tmp_path / "run", registry=registry)
    manifest = Manifest.load(tmp_path / "run")
    (session,) = manifest.history
    for name, record in manifest.stages.items():
        (maker,) = record.made_by
        assert maker.session == session.session
        assert maker.machine == session.machine
        assert maker.engine == "local"
        assert maker.ended is not None
        assert session.started <= maker.started <= maker.ended
        assert maker.parts == (() if name == "dataset" else ((0, record.parts - 1),))
        assert record.code_version >= 1
    providers = manifest.stages["scores"].made_by[0].components
    assert providers == {
        kind: manifest.components[kind] for kind in ("embedder", "scorer")
    }  # those of the step, and no others
    assert providers["embedder"]["colours"].plugin == "laion_eo.testing.colours"
    (dataset,) = [done for done in session.stages if done.step == "dataset"]
    assert dataset.counts == manifest.stages["dataset"].counts
    assert dataset.inputs["verdicts"] == next(
        done.digest for done in session.stages if done.step == "verdicts"
    )


@pytest.mark.parametrize("error", [RunError("of a kind"), KeyboardInterrupt()])
def test_a_stage_that_two_versions_made_names_both(
    error: BaseException,
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
    upgrade: Upgrade,
) -> None:
    folder = tmp_path / "run"
    upgrade.to("0.8.0", "2.3.0")
    stopped(run_data, folder, "scores", error)
    upgrade.to("0.9.0", "2.4.0")
    run(run_data, folder, registry=registry)
    made = makers(folder)
    parts = Manifest.load(folder).stages["scores"].parts
    assert made["scores"] == [("0.8.0", 2), ("0.9.0", parts - 2)]
    assert made["downloads"] == [("0.8.0", parts)]
    assert made["verdicts"] == [("0.9.0", 1)]
    first, second = Manifest.load(folder).history
    assert first.outcome == ("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
    assert (first.failed_in, first.error) == ("scores", type(error).__name__)
    assert [done.step for done in first.stages] == TABLES[:5]
    assert (second.outcome, second.failed_in) == ("done", None)
    assert second.stages[0].made_by == Manifest.load(folder).stages["scores"].made_by


def test_who_fetched_for_another_session_is_named_too(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, upgrade: Upgrade
) -> None:
    """No part of the downloads was finished, but its images are there."""
    folder = tmp_path / "run"
    data = run_data | {"engine": {"use": "local", "batch_rows": 512}}

    class Breaks(HttpDownloader):
        name = "breaks"
        after = 3

        def download(self, urls: Sequence[str]) -> Iterator[Download]:
            for number, download in enumerate(super().download(urls)):
                if number == self.after:
                    raise RunError("the network is gone")
                yield download

    data["downloader"] = data["downloader"] | {"use": "breaks"}
    registry.add_component(next(kind for kind in KINDS if kind.base is Downloader), Breaks)
    upgrade.to("0.8.0", "2.3.0")
    with pytest.raises(RunError, match="the network is gone"):
        run(data, folder, registry=registry)
    Breaks.after = -1
    upgrade.to("0.9.0", "2.4.0")
    run(data, folder, registry=registry)
    assert makers(folder)["downloads"] == [("0.8.0", 0), ("0.9.0", 1)]
    assert makers(folder)["scores"] == [("0.9.0", 1)]


def test_a_part_made_again_has_another_maker(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, upgrade: Upgrade
) -> None:
    folder = tmp_path / "run"
    upgrade.to("0.8.0", "2.3.0")
    run(run_data, folder, registry=registry)
    for path in (folder / "scores").glob("part-00001-*"):
        path.write_bytes(b"")
    upgrade.to("0.9.0", "2.4.0")
    assert run(run_data, folder, registry=registry).ran == ["scores"]
    record = Manifest.load(folder).stages["scores"]
    ranges = {maker.software.laion_eo: maker.parts for maker in record.made_by}
    assert ranges == {"0.8.0": ((0, 0), (2, record.parts - 1)), "0.9.0": ((1, 1),)}


def test_nothing_to_do_leaves_no_trace(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, upgrade: Upgrade
) -> None:
    folder = tmp_path / "run"
    run(run_data, folder, registry=registry)
    files = [folder / "manifest.json", folder / ".stages" / "history.jsonl"]
    before = [path.read_bytes() for path in files]
    assert run(run_data, folder, registry=registry).ran == []
    assert [path.read_bytes() for path in files] == before
    upgrade.to("0.9.0", "2.4.0")
    kept = makers(folder)
    assert run(run_data, folder, registry=registry).ran == []
    assert files[1].read_bytes() == before[1]
    assert makers(folder) == kept
    assert Manifest.load(folder).laion_eo == "0.9.0"  # who wrote the manifest


def test_reruns_append(run_data: dict[str, JSON], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    lines: list[bytes] = []
    for options in ([], STRICT, []):
        run(run_data, folder, options, registry)
        now = (folder / ".stages" / "history.jsonl").read_bytes().splitlines()
        assert now[: len(lines)] == lines
        lines = now
    first, second, third = Manifest.load(folder).history
    assert len({first.session, second.session, third.session}) == 3
    assert first.run_file == third.run_file != second.run_file
    done = {session.session: dict(prints(session)) for session in (first, second, third)}
    assert done[first.session]["verdicts"] == done[third.session]["verdicts"]
    assert done[first.session]["verdicts"] != done[second.session]["verdicts"]
    assert list(done[second.session]) == list(done[third.session]) == BELOW_FILTER


def prints(session: Session) -> list[tuple[str, str]]:
    return [(done.step, done.fingerprint) for done in session.stages]


def test_what_a_killed_session_could_not_add_is_added(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    """It was killed between the record of a step and the line of the history."""
    folder = tmp_path / "run"
    run(run_data, folder, registry=registry)
    file = folder / ".stages" / "history.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-2]))  # without the dataset and the end
    (folder / ".stages" / "run.json").unlink()
    assert run(run_data, folder, registry=registry).ran == []
    (session,) = Manifest.load(folder).history
    assert [done.step for done in session.stages] == [*TABLES, *BELOW_FILTER]
    assert session.outcome is None
    assert len(file.read_bytes().splitlines()) == len(lines) - 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("flipped", "1 of its lines are damaged; what can be read of it stays"),
        ("shortened", "bytes instead of "),
        ("gone", "it is gone; "),
    ],
)
def test_a_damaged_history_is_told_of_once_and_the_run_is_none_the_worse(
    how: str,
    words: str,
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "run"
    run(run_data, folder, registry=registry)
    file = folder / ".stages" / "history.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    if how == "gone":
        file.unlink()
    else:
        changed = [lines[0].replace(b"a", b"e")] if how == "flipped" else []
        file.write_bytes(b"".join([*changed, *lines[1:]]))
    for again in (1, 2):
        caplog.clear()
        assert run(run_data, folder, registry=registry).ran == []
        told = [record.message for record in caplog.records if "history.jsonl" in record.message]
        assert len(told) == (1 if again == 1 or how == "flipped" else 0)
        assert all(words in message for message in told)
    (session,) = Manifest.load(folder).history
    assert [done.step for done in session.stages] == [*TABLES, *BELOW_FILTER]
    assert session.run_file is None  # what its first line alone knew


def test_a_damaged_note_of_a_maker_names_nobody_else(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, upgrade: Upgrade
) -> None:
    folder = tmp_path / "run"
    upgrade.to("0.8.0", "2.3.0")
    stopped(run_data, folder, "scores", RunError("of a kind"))
    (journal,) = (folder / ".stages").glob("scores.*.progress")
    journal.write_bytes(journal.read_bytes().replace(b'"maker"', b'"makes"'))
    upgrade.to("0.9.0", "2.4.0")
    run(run_data, folder, registry=registry)
    parts = Manifest.load(folder).stages["scores"].parts
    assert makers(folder)["scores"] == [("0.9.0", parts - 2)]


def test_a_run_from_before_has_no_makers_and_gets_none(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run(run_data, folder, registry=registry)
    records = RunDir(folder).records
    for name in [*TABLES, *BELOW_FILTER]:
        record = records.load(name)
        assert record is not None
        records.save(name, record.model_copy(update={"made_by": ()}))
    (folder / ".stages" / "history.jsonl").unlink()
    run(run_data, folder, STRICT, registry)
    manifest = Manifest.load(folder)
    assert manifest.stages["scores"].made_by == ()
    assert len(manifest.stages["verdicts"].made_by) == 1
    assert history(folder) == [(manifest.laion_eo, "done", BELOW_FILTER)]


def test_other_versions_are_told_of_in_one_line(
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
    upgrade: Upgrade,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "laion_eo")
    folder = tmp_path / "run"
    upgrade.to("0.8.0", "2.3.0")
    run(run_data, folder, registry=registry)
    run(run_data, folder, registry=registry)
    assert "made by other versions" not in caplog.text
    upgrade.to("0.9.0", "2.4.0")
    for call in (plan, run):
        caplog.clear()
        call(run_data, folder, STRICT, registry)
        told = [line.message for line in caplog.records if "other versions" in line.message]
        assert told == [
            f"made by other versions, and kept: {', '.join(TABLES)} by laion-eo 0.8.0, torch "
            "2.3.0; this is laion-eo 0.9.0, torch 2.4.0"
        ]


def test_the_card_names_the_versions_of_the_stages(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, upgrade: Upgrade
) -> None:
    folder = tmp_path / "run"
    upgrade.to("0.8.0", "2.3.0")
    run(run_data, folder, registry=registry)
    card = folder / "dataset" / "README.md"
    assert "\nWith laion-eo 0.8.0, by the method of" in card.read_text("utf-8")
    upgrade.to("0.9.0", "2.4.0")
    run(run_data, folder, STRICT, registry)
    said = f"With laion-eo 0.8.0 ({', '.join(TABLES)}) and 0.9.0 (verdicts, dataset), by the"
    assert said in card.read_text("utf-8").replace("\\_", "_")


def test_no_machine_and_no_user_in_manifest_or_history(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "planted-user")
    monkeypatch.setenv("LOGNAME", "planted-user")
    monkeypatch.setattr("platform.node", lambda: "planted-host")
    monkeypatch.setattr("socket.gethostname", lambda: "planted-host")
    run(run_data, tmp_path / "run", registry=registry)
    manifest: dict[str, Any] = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["history"]
    history = (tmp_path / "run" / ".stages" / "history.jsonl").read_text()
    assert "planted" not in json.dumps(manifest) + history
