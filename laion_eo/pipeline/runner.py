"""Runs a run file: each step whose fingerprint has changed, in order."""

from __future__ import annotations

import errno
import json
import logging
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import tomli_w
from pydantic import JsonValue

from laion_eo.blame import culprit, naming_culprits
from laion_eo.component import WARNINGS, Context
from laion_eo.config import RunFile
from laion_eo.errors import ConfigError, RunError
from laion_eo.file_record import FileRecord
from laion_eo.fingerprint import fingerprint
from laion_eo.pipeline.checks import check_allow_list, check_chain, check_engine
from laion_eo.pipeline.emptiness import check_found
from laion_eo.pipeline.manifest import MANIFEST, Manifest, StageRecord, to_json
from laion_eo.pipeline.provenance import RunSession, tell_other_versions
from laion_eo.pipeline.records import SEAL, Work
from laion_eo.pipeline.run_dir import RUN_FILE, RunDir, is_run_dir
from laion_eo.pipeline.stages import (
    STAGES,
    Anchors,
    EmbeddingsStage,
    Publishing,
    ShapedStage,
    ShardedStage,
    Step,
    StreamStage,
    TableStage,
)
from laion_eo.pipeline.workbench import Workbench, with_labels
from laion_eo.redaction import redacted
from laion_eo.registry import Registry
from laion_eo.types import JSON

logger = logging.getLogger("laion_eo")

TRACEBACK = "traceback.txt"


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        folder: The run directory.
        manifest: Every number of the run, as ``manifest.json`` has it: plain JSON, so that
            ``result.manifest["stages"]["dataset"]["counts"]`` can be read without more ado.
            ``laion_eo.pipeline.manifest.Manifest.load`` gives the typed one.
        ran: The steps that had work to do; empty if everything was up to date.
    """

    folder: Path
    manifest: dict[str, JSON]
    ran: list[str] = field(default_factory=list)

    @property
    def dataset(self) -> Path:
        """Folder of the finished dataset: ``load_dataset(result.dataset, config)``."""
        return self.folder / "dataset"


class Runner:
    """One run file and its run directory.

    Args:
        source: A run file, or its content as a mapping.
        out: The run directory.
        overrides: ``key=value`` each, as ``--set`` takes them.
        registry: Where components are found; the installed plugins by default.
        verify: Hash all of what is taken over, however large.
        reuse: Other run directories, whose embeddings are taken over for the same images.
        labels: A ``labels.csv``; what it teaches takes the place of fitted thresholds.

    Raises:
        ConfigError: Anything in the run file is wrong; nothing has been touched then.
    """

    def __init__(
        self,
        source: Path | Mapping[str, object],
        out: Path,
        overrides: Sequence[str] = (),
        registry: Registry | None = None,
        *,
        verify: bool = False,
        reuse: Sequence[Path] = (),
        labels: Path | None = None,
    ) -> None:
        self.registry = registry or Registry.discover()
        for other in reuse:
            if not is_run_dir(other):
                raise ConfigError(f"--reuse: {other}: no run directory; `laion-eo run` makes one.")
        self.run_dir = RunDir(out, thorough=verify, reused=reuse)
        self._step = ""
        run_file = RunFile.load(source, overrides)
        seed, purpose = run_file.config.seed, run_file.config.dataset.purpose
        context = Context(out, seed, self._progress, purpose)
        if labels is not None:
            run_file = with_labels(run_file, labels, self.registry, context)
        self.workbench = Workbench(run_file, self.registry, context)
        with naming_culprits(self.registry):
            check_chain(self.workbench)
            check_allow_list(self.workbench)
        self.stages = [stage(self.workbench, self.run_dir) for stage in STAGES]
        self.publishing = Publishing(self.workbench, self.run_dir)
        self.steps: list[ShapedStage | Publishing] = [*self.stages, self.publishing]

    def _progress(self, done: int, total: int) -> None:
        hook = self.registry.manager.hook
        hook.laion_eo_after_batch(stage=self._step, done=done, total=total)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of every step: of its options, its data and the stages before."""
        found: dict[str, str] = {}
        for step in self.steps:
            found[step.name] = fingerprint([step.identity(), *(found[n] for n in step.needs)])
        return found

    def up_to_date(self, step: Step) -> bool:
        """Tell whether a step's output is there, complete and of the wanted fingerprint."""
        work = self.work(step)
        record = self.run_dir.record(step.name)
        if record is None or not self.run_dir.is_complete(work):
            return False
        parts = set(range(record.parts))
        return step.intact(work, parts) == parts

    def work(self, step: Step) -> Work:
        """Return what a step is to make of what the steps before it have left."""
        return self.run_dir.work(step.name, self.fingerprints[step.name], step.needs)

    def done_parts(self, step: Step) -> set[int]:
        """Return the parts of a killed run that a step resumes after."""
        if not isinstance(step, ShardedStage | StreamStage):
            return set()
        work = self.work(step)
        return step.intact(work, self.run_dir.done(work))

    def check(self) -> None:
        """Raise for what the steps that are not up to date are missing, before any work.

        Raises:
            ConfigError: A package, a model or a file; or the pool was made with another model.
            DataError: The anchors, the pool or another file of data.
        """
        todo: list[ShapedStage | Publishing] = []
        for step in self.steps:
            # What is made again may come out differently, and then so does all that needs it.
            if {one.name for one in todo} & {*step.needs} or not self.up_to_date(step):
                todo.append(step)
        kept = [step.name for step in self.steps if step not in todo]
        tell_other_versions(self.run_dir.all_records(kept))
        if todo:
            check_engine(self.workbench)
        for step in todo:
            step.check()

    def run(self) -> RunResult:
        """Run what is not up to date.

        Raises:
            ConfigError: As :meth:`check`.
            DataError: The anchors or the pool are missing or damaged.
            RunError: A stage failed; what it finished is kept, and the same call resumes.
        """
        with self.run_dir.lock():
            self.session = RunSession(self.run_dir, self.workbench.config.engine.use)
            try:
                with naming_culprits(self.registry):
                    return self._run()
            except BaseException as error:
                self.session.end(error)
                if isinstance(error, RunError):
                    self._keep_traceback(error)
                raise
            finally:
                with naming_culprits(self.registry):
                    self.workbench.close()

    def _keep_traceback(self, error: RunError) -> None:
        """Leave what the one line of the message cannot say where a plugin's author finds it."""
        text = redacted("".join(traceback.format_exception(error)))
        with suppress(OSError):  # a full disk: the message itself says so
            self.run_dir.write_text(TRACEBACK, text)

    def _run(self) -> RunResult:
        self.check()
        self.session.open()
        self.run_dir.records.remove(SEAL)
        self.session.catch_up(self._records())
        (self.run_dir.path / TRACEBACK).unlink(missing_ok=True)
        resolved = self.workbench.resolved().model_dump(mode="json")
        self.run_dir.write_text(RUN_FILE, tomli_w.dumps(_without_none(resolved)))
        hook = self.registry.manager.hook
        names = [step.name for step in self.steps]
        told = self._manifest().dump()
        hook.laion_eo_before_run(stages=names, manifest=told)
        ran = []
        for step in self.steps:
            if not self.up_to_date(step):
                self._run_step(step)
                ran.append(step.name)
        told |= self._manifest().dump()
        hook.laion_eo_after_run(manifest=told)
        self.session.end()
        finished = _with_added(self._manifest(), told).dump()
        self.run_dir.write_text(MANIFEST, json.dumps(finished, indent=1) + "\n")
        self.run_dir.seal()
        self._warn()
        return RunResult(self.run_dir.path, finished, ran)

    def _warn(self) -> None:
        """Say at the end what components warn of; it stands in the manifest and the card, too."""
        told: dict[str, None] = {}
        for record in self._records().values():
            for facts in record.facts.values():
                warnings = facts.get(WARNINGS)
                told |= dict.fromkeys(map(str, warnings if isinstance(warnings, list) else ()))
        for warning in told:
            logger.warning("%s", warning)

    def _records(self) -> dict[str, StageRecord]:
        return self.run_dir.all_records(step.name for step in self.steps)

    def _manifest(self) -> Manifest:
        return self.workbench.manifest(self._records(), self.session.history.sessions)

    def _run_step(self, step: ShapedStage | Publishing) -> None:
        self._step = step.name
        try:
            self._work(step)
        except BaseException as error:
            self.registry.manager.hook.laion_eo_on_error(stage=step.name, error=error)
            if isinstance(error, MemoryError) and culprit(error, self.registry) is None:
                raise RunError(
                    f"{step.name}: out of memory. What is finished is kept: run the same command "
                    "again with less at a time, such as --set engine.batch_rows=64."
                ) from error
            if isinstance(error, OSError) and (
                error.errno == errno.ENOSPC or culprit(error, self.registry) is None
            ):
                raise _explain(error, step.name) from error
            raise

    def _work(self, step: ShapedStage | Publishing) -> None:
        """Do a step: between its beginning and its end alone, no record speaks of its output."""
        started = time.monotonic()
        if damage := self.run_dir.damage(step.name):
            logger.warning("%s; what is missing of %s is made again", damage, step.name)
        work = self.work(step)
        if isinstance(step, Anchors | EmbeddingsStage):
            self.run_dir.set_aside(work)
        self.session.begin(work, self.workbench.providers(step.components()))
        self.run_dir.begin(work)
        if isinstance(step, Publishing):
            counts, files = self._publish(step), step.files
        else:
            counts, files = self._make(step, work)
        record = StageRecord(
            fingerprint=work.fingerprint,
            code_version=step.version,
            inputs=dict(work.inputs),
            parts=0 if isinstance(step, Publishing) else len(files),
            files=files,
            seconds=round(time.monotonic() - started, 3),
            counts=counts,
            facts=step.facts(),
            made_by=self.session.made_by(work),
        )
        self.run_dir.complete(step.name, record)
        self.session.completed(step.name, record)
        logger.info("%s: done, %s", step.name, _counted(record.counts))

    def _publish(self, publishing: Publishing) -> dict[str, int]:
        logger.info("%s: starts", publishing.name)
        self._progress(0, 1)
        counts = publishing.publish()
        self._progress(1, 1)
        return counts

    def _make(
        self, stage: ShapedStage, work: Work
    ) -> tuple[dict[str, int], tuple[FileRecord, ...]]:
        """Make the parts of a stage's table that are not there yet, and count what it holds."""
        self.session.note(work)
        done, total = self.done_parts(stage), _total(stage)
        logger.info(
            "%s: %s", stage.name, f"resumes, {len(done)} of {total} done" if done else "starts"
        )
        finished = len(done)
        self._progress(finished, total)
        for index, table in self._parts(stage, done):
            self.session.note(work)
            self.run_dir.write_part(work, index, table)
            finished += 1
            self._progress(finished, max(total, finished))
        files = self.run_dir.files_of(work, 0 if isinstance(stage, StreamStage) else total)
        table = self.run_dir.read_done(work)
        check_found(stage, self.run_dir, work, table)
        return stage.counts(table), files

    def _parts(self, stage: ShapedStage, done: set[int]) -> Iterator[tuple[int, pa.Table]]:
        match stage:
            case TableStage():
                yield 0, stage.make()
            case ShardedStage():
                shards = stage.shards()
                todo = [index for index in range(len(shards)) if index not in done]
                made = self.workbench.engine.map(stage.process, [shards[i] for i in todo])
                yield from zip(todo, made, strict=True)
            case StreamStage():
                yield from stage.parts(done)


def _total(stage: ShapedStage) -> int:
    """Return how many parts there will be; 0 if that is not known."""
    match stage:
        case TableStage():
            return 1
        case ShardedStage():
            return len(stage.shards())
        case StreamStage():
            return stage.total()


def _with_added(manifest: Manifest, told: Mapping[str, JsonValue]) -> Manifest:
    """Return the manifest with the keys that plugins added; what they did to others is dropped."""
    added = {key: value for key, value in told.items() if key not in Manifest.model_fields}
    try:
        return manifest.model_copy(update=to_json(added))
    except ValueError as error:
        keys = ", ".join(added)
        raise RunError(f"the keys that plugins added ({keys}) are no JSON: {error}") from error


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())


def _explain(error: OSError, stage: str) -> RunError:
    if error.errno == errno.ENOSPC:
        return RunError(
            f"{stage}: the disk is full ({error.filename or 'run directory'}). What is finished is "
            "kept: make room and run the same command again."
        )
    return RunError(f"{stage}: {error}")


def _without_none(table: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Drop keys whose value is None, which TOML cannot say."""
    return {key: _each_without_none(item) for key, item in table.items() if item is not None}


def _each_without_none(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return _without_none(value)
    return [_each_without_none(item) for item in value] if isinstance(value, list) else value


def run(
    source: str | Path | Mapping[str, object],
    out: str | Path,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    *,
    verify: bool = False,
    reuse: Sequence[str | Path] = (),
    labels: str | Path | None = None,
) -> RunResult:
    """Run, or resume, an extraction: the Python face of ``laion-eo run``.

    Args:
        source: A run file, or its content as a mapping (paths then start at the current folder).
        out: The run directory.
        overrides: ``key=value`` each, such as ``"retriever.k=100"``.
        registry: Where components are found; the installed plugins by default.
        verify: Hash all of what an earlier run left, however large, instead of samples of what is
            large.
        reuse: Other run directories, whose embeddings are taken over for the same images.
        labels: A ``labels.csv``: the filter ``labels`` takes the place of fitted thresholds.

    Raises:
        ConfigError: The run file is wrong.
        DataError: The anchors or the pool are missing or damaged.
        RunError: A sound run failed.
    """
    source = Path(source) if isinstance(source, str) else source
    others = [Path(other) for other in reuse]
    taught = None if labels is None else Path(labels)
    runner = Runner(
        source, Path(out), overrides, registry, verify=verify, reuse=others, labels=taught
    )
    return runner.run()
