"""Who made what: the session at work, for the records of the steps and for the history.

A session is one ``laion-eo run`` that has work to do. It begins with its first step, so that a
session which finds everything up to date leaves no trace.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from laion_eo.file_record import digest_of
from laion_eo.fingerprint import file_sha256
from laion_eo.pipeline.environment import machine, software
from laion_eo.pipeline.history import Ending, History
from laion_eo.pipeline.manifest import Maker, Provider, Session, Software, StageDone, StageRecord
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.run_dir import RUN_FILE, RunDir

logger = logging.getLogger("laion_eo")


class RunSession:
    """The session of this process in a run directory, which is locked.

    Args:
        run_dir: The run directory.
        engine: The engine's name.

    Attributes:
        id: Of the session.
        history: What every session did here, once it is open.
    """

    history: History

    def __init__(self, run_dir: RunDir, engine: str) -> None:
        self.id = secrets.token_hex(8)
        self._run_dir, self._engine = run_dir, engine
        self._begun = False
        self._step: str | None = None
        self._maker: Maker | None = None

    def open(self) -> None:
        """Read the history, before the seal that vouches for it goes; say if it is damaged.

        Raises:
            OSError: It cannot be read.
        """
        self.history = History(self._run_dir.history)
        damaged, fault = self.history.damaged, self._run_dir.history_fault()
        if damaged or fault:
            what = f"{damaged:,} of its lines are damaged" if damaged else fault
            logger.warning("%s: %s; what can be read of it stays", self.history.path, what)

    def begin(self, work: Work, components: Mapping[str, Mapping[str, Provider]]) -> None:
        """Note that the work on a step begins.

        Args:
            work: What is to be made.
            components: Who provides the step's components, by kind and name.
        """
        self._step = work.step
        self._maker = Maker(
            session=self.id,
            started=_now(),
            software=software(),
            machine=machine(),
            engine=self._engine,
            components={kind: dict(named) for kind, named in components.items()},
        )
        if not self._begun:
            self._begun = True
            session = Session(
                session=self.id,
                started=self._maker.started,
                software=self._maker.software,
                machine=self._maker.machine,
                run_file=file_sha256(self._run_dir.path / RUN_FILE),
            )
            self.history.append(self.id, session)

    def note(self, work: Work) -> None:
        """Note in the journal of a stage in work who makes its next part, unless it is there."""
        if self._maker is None:
            raise ValueError("the session has not begun a step")
        # The GPUs are known once the models are loaded.
        self._maker = self._maker.model_copy(update={"machine": machine()})
        self._run_dir.note_maker(work, self._maker)

    def made_by(self, work: Work) -> tuple[Maker, ...]:
        """Return who made a step that is complete now, this session last."""
        if self._maker is None:
            raise ValueError("the session has not begun a step")
        me = self._maker.model_copy(update={"ended": _now(), "machine": machine()})
        makers = self._run_dir.makers(work)
        mine = next((maker.parts for maker in makers if maker.session == self.id), ())
        others = [maker for maker in makers if maker.session != self.id]
        return (*others, me.model_copy(update={"parts": mine}))

    def completed(self, step: str, record: StageRecord) -> None:
        """Add a complete step to the history."""
        self._step = None
        self.catch_up({step: record})

    def catch_up(self, records: Mapping[str, StageRecord]) -> None:
        """Add the complete steps that a killed session could not add any more.

        Args:
            records: Their records, by name.
        """
        known = {(one.session, done.step) for one in self.history.sessions for done in one.stages}
        for step, record in records.items():
            if record.made_by and (record.made_by[-1].session, step) not in known:
                done = StageDone(
                    step=step,
                    fingerprint=record.fingerprint,
                    inputs=record.inputs,
                    digest=digest_of(record.files),
                    counts=record.counts,
                    made_by=record.made_by,
                )
                self.history.append(record.made_by[-1].session, done)

    def end(self, error: BaseException | None = None) -> None:
        """Note how the session ended, if it had begun.

        Args:
            error: What it failed with. Its text is not kept, for it may name files and addresses.
        """
        if not self._begun:
            return
        if error is None:
            self.history.append(self.id, Ending(ended=_now(), outcome="done"))
            return
        stopped = isinstance(error, KeyboardInterrupt)
        ending = Ending(
            ended=_now(),
            outcome="stopped" if stopped else "failed",
            failed_in=self._step,
            error=type(error).__name__,
        )
        with suppress(OSError):  # a full disk: the error itself says so
            self.history.append(self.id, ending)


def tell_other_versions(records: Mapping[str, StageRecord]) -> None:
    """Say in one line which complete steps other versions have made, and by which.

    They stay: a version changes what comes out only where a step's own version says so.

    Args:
        records: The records of the steps that are up to date.
    """
    here = software()
    groups: dict[str, list[str]] = {}
    for step, record in records.items():
        then = {_differing(maker.software, here) for maker in record.made_by}
        for words in sorted(then - {""}):
            groups.setdefault(words, []).append(step)
    if groups:
        made = "; ".join(f"{', '.join(steps)} by {words}" for words, steps in groups.items())
        logger.info("made by other versions, and kept: %s; this is %s", made, _named(here, groups))


def _differing(then: Software, here: Software) -> str:
    """Return the versions of then that are others here, as words."""
    before, now = _versions(then), _versions(here)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name, '(none)')}" for name in names)


def _named(here: Software, groups: Iterable[str]) -> str:
    """Return the versions here of the packages that the groups name."""
    now = _versions(here)
    names = dict.fromkeys(item.rpartition(" ")[0] for words in groups for item in words.split(", "))
    return ", ".join(f"{name} {now.get(name, '(none)')}" for name in names)


def _versions(of: Software) -> dict[str, str]:
    return {"laion-eo": of.laion_eo, **of.packages}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
