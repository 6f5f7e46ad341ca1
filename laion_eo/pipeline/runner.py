"""Runs a run file: each stage whose fingerprint has changed, in order."""

from __future__ import annotations

import errno
import json
import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from laion_eo.blame import culprit, naming_culprits
from laion_eo.component import Context
from laion_eo.config import EngineOptions, RunFile
from laion_eo.errors import RunError
from laion_eo.fingerprint import fingerprint
from laion_eo.pipeline.engines.local import Engine, LocalEngine
from laion_eo.pipeline.manifest import describe
from laion_eo.pipeline.run_dir import RunDir, StageRecord
from laion_eo.pipeline.stages import STAGES, Stage
from laion_eo.pipeline.workbench import Workbench, check_allow_list
from laion_eo.registry import Registry
from laion_eo.types import JSON

logger = logging.getLogger("laion_eo")


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        folder: The run directory.
        manifest: Every number of the run.
        ran: The stages that had work to do; empty if everything was up to date.
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

    Raises:
        ConfigError: Anything in the run file is wrong; nothing has been touched then.
    """

    def __init__(
        self,
        source: Path | Mapping[str, JSON],
        out: Path,
        overrides: Sequence[str] = (),
        registry: Registry | None = None,
    ) -> None:
        self.registry = registry or Registry.discover()
        self.run_dir = RunDir(out)
        self._stage = ""
        run_file = RunFile.load(source, overrides)
        seed, purpose = run_file.config.seed, run_file.config.dataset.purpose
        context = Context(out, seed, self._progress, purpose)
        self.bench = Workbench(run_file, self.registry, context)
        check_allow_list(self.bench)
        self.stages: list[Stage] = [stage(self.bench, self.run_dir) for stage in STAGES]
        self._engine: Engine | None = None

    def _progress(self, done: int, total: int) -> None:
        hook = self.registry.manager.hook
        hook.laion_eo_after_batch(stage=self._stage, done=done, total=total)

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of every stage: of its options, its data and the stages before."""
        found: dict[str, str] = {}
        for stage in self.stages:
            found[stage.name] = fingerprint([stage.identity(), *(found[n] for n in stage.needs)])
        return found

    def up_to_date(self, stage: Stage, wanted: str) -> bool:
        """Tell whether a stage's table is there, whole and of the wanted fingerprint."""
        record = self.run_dir.record(stage.name)
        if record is None or record.fingerprint != wanted:
            return False
        if stage.name == self.run_dir.dataset.name:
            return self.run_dir.dataset.is_dir()
        return len(self.run_dir.parts(stage.name, wanted)) == record.parts

    def run(self) -> RunResult:
        """Run what is not up to date.

        Raises:
            DataError: The anchors or the pool are missing or damaged.
            RunError: A stage failed on its way; what it finished stays, and the same call goes on.
        """
        with self.run_dir.lock():
            try:
                with naming_culprits(self.registry):
                    return self._run()
            except RunError as error:
                self._keep_traceback(error)
                raise
            finally:
                self.bench.close()
                if self._engine is not None:
                    self._engine.close()

    def _keep_traceback(self, error: RunError) -> None:
        """Leave what the one line of the message cannot say where a plugin's author finds it."""
        text = "".join(traceback.format_exception(error))
        with suppress(OSError):  # a full disk: the message itself says so
            self.run_dir.write_text("traceback.txt", text)

    def _run(self) -> RunResult:
        self.run_dir.write_text("run.toml", tomli_w.dumps(_without_none(self.bench.resolved())))
        hook = self.registry.manager.hook
        names = [stage.name for stage in self.stages]
        manifest = describe(self.bench, self.run_dir, names)
        hook.laion_eo_before_run(stages=names, manifest=manifest)
        ran = []
        wanted = self.fingerprints()
        for stage in self.stages:
            if not self.up_to_date(stage, wanted[stage.name]):
                self._run_stage(stage, wanted[stage.name])
                ran.append(stage.name)
        manifest |= describe(self.bench, self.run_dir, names)
        hook.laion_eo_after_run(manifest=manifest)
        self.run_dir.write_text("manifest.json", json.dumps(manifest, indent=1, default=str) + "\n")
        return RunResult(self.run_dir.path, manifest, ran)

    def _run_stage(self, stage: Stage, wanted: str) -> None:
        self._stage = stage.name
        try:
            self._make_parts(stage, wanted)
        except BaseException as error:
            self.registry.manager.hook.laion_eo_on_error(stage=stage.name, error=error)
            if isinstance(error, OSError) and (
                error.errno == errno.ENOSPC or culprit(error, self.registry) is None
            ):
                raise _explain(error, stage.name) from error
            raise

    def _make_parts(self, stage: Stage, wanted: str) -> None:
        started = time.monotonic()
        done = self.run_dir.done(stage.name, wanted) if stage.resumable else set()
        total = stage.total()
        logger.info(
            "%s: %s", stage.name, f"goes on, {len(done)} of {total} done" if done else "starts"
        )
        finished = len(done)
        self._progress(finished, total)
        if self._engine is None:  # one for all stages: what it starts, it starts once
            self._engine = make_engine(self.bench.config.engine)
        for index, table in stage.parts(self._engine, done):
            self.run_dir.write_part(stage.name, index, wanted, table)
            finished += 1
            self._progress(finished, max(total, finished))
        table = self.run_dir.read_parts(stage.name, wanted)
        parts = len(self.run_dir.parts(stage.name, wanted))
        seconds = round(time.monotonic() - started, 3)
        record = StageRecord(wanted, parts, seconds, stage.counts(table), stage.facts())
        self.run_dir.complete(stage.name, record)
        logger.info("%s: done, %s", stage.name, _counted(record.counts))


def make_engine(options: EngineOptions) -> Engine:
    """Return the engine that a run file chose.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    if options.use == "local":
        return LocalEngine()
    from laion_eo.pipeline.engines.ray import RayEngine

    return RayEngine(options.address, options.workers, options.cpus_per_worker)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())


def _explain(error: OSError, stage: str) -> RunError:
    if error.errno == errno.ENOSPC:
        return RunError(
            f"{stage}: the disk is full ({error.filename or 'run directory'}). What is finished is "
            "kept: make room and run the same command again."
        )
    return RunError(f"{stage}: {error}")


def _without_none(value: JSON) -> JSON:
    """Drop keys whose value is None, which TOML cannot say."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def run(
    source: str | Path | Mapping[str, JSON],
    out: str | Path,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> RunResult:
    """Run, or go on with, an extraction: the Python face of ``laion-eo run``.

    Args:
        source: A run file, or its content as a mapping (paths then start at the current folder).
        out: The run directory.
        overrides: ``key=value`` each, such as ``"retriever.k=100"``.
        registry: Where components are found; the installed plugins by default.

    Raises:
        ConfigError: The run file is wrong.
        DataError: The anchors or the pool are missing or damaged.
        RunError: The run failed on its way.
    """
    source = Path(source) if isinstance(source, str) else source
    return Runner(source, Path(out), overrides, registry).run()
