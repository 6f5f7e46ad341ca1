"""The history of a run directory: ``.stages/history.jsonl``, to which every session appends.

Nothing in it is ever written anew, so it outlives reruns with other options, kills and Ctrl-C. A
session that finds everything up to date leaves no line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from laion_eo.config import Model
from laion_eo.pipeline.journal import Journal, Row, parse_journal
from laion_eo.pipeline.manifest import Session, StageDone

HISTORY = "history.jsonl"
"""Its name in ``.stages/``."""


class Ending(Model):
    """How a session ended; the attributes are those of :class:`Session`."""

    ended: AwareDatetime
    outcome: Literal["done", "failed", "stopped"]
    failed_in: str | None = None
    error: str | None = None


Event = Session | StageDone | Ending
_KINDS: dict[str, type[Event]] = {"begun": Session, "stage": StageDone, "ended": Ending}


class History:
    """The history of one run directory.

    Args:
        path: The file; made with the first event.

    Attributes:
        damaged: How many of its lines could not be read.

    Raises:
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self._sessions: dict[str, Session] = {}
        for found in self._events():
            if found is None:
                self.damaged += 1
            else:
                self._apply(*found)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Every session, oldest first."""
        return tuple(self._sessions.values())

    def append(self, session: str, event: Event) -> None:
        """Add what has happened in a session; it is on the disk then.

        Raises:
            OSError: The disk cannot take it.
        """
        kind = next(kind for kind, model in _KINDS.items() if isinstance(event, model))
        # As text: a journal's rows are flat, and a plugin's counts may have any keys.
        row: Row = {"session": session, "event": kind, "about": event.model_dump_json()}
        with Journal(self.path) as journal:
            journal.append(row)
            journal.sync()
        self._apply(session, event)

    def _events(self) -> Iterator[tuple[str, Event] | None]:
        for row in parse_journal(self.path):
            try:
                kind, session, about = ((row or {})[key] for key in ("event", "session", "about"))
                yield str(session), _KINDS[str(kind)].model_validate_json(str(about))
            except (KeyError, ValidationError):
                yield None

    def _apply(self, session: str, event: Event) -> None:
        known = self._sessions.get(session)
        match event:
            case Session():
                self._sessions[session] = event
            case StageDone():
                last = event.made_by[-1]
                # Where its beginning is damaged, its maker knows most of what that said.
                known = known or Session(
                    session=session,
                    started=last.started,
                    software=last.software,
                    machine=last.machine,
                )
                stages = (*known.stages, event)
                self._sessions[session] = known.model_copy(update={"stages": stages})
            case Ending() if known:
                self._sessions[session] = known.model_copy(update=event.model_dump())
