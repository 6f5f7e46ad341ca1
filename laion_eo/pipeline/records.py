"""The records in ``.stages/``: what each complete step left, and what a step in work has so far.

- ``STEP.json``: the record of a complete step, with the hash of each of its files.
- ``STEP.FINGERPRINT.progress``: a journal of the parts that are finished while a step is in work.
- ``run.json``: the seal, written last: the hashes of ``manifest.json`` and ``run.toml``.

A record is on the disk only after all that it vouches for, and is removed before that is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from laion_eo.file_record import FileRecord, checksum_of
from laion_eo.files import sync_folder, write_atomically
from laion_eo.pipeline.journal import Journal, Row, read_journal, write_journal
from laion_eo.pipeline.manifest import Seal, StageRecord

M = TypeVar("M", bound=BaseModel)

SEAL = "run"
"""Name of the seal; no step is called so."""
PROGRESS = ".progress"
_CHECKSUM = "checksum"


@dataclass(frozen=True)
class Work:
    """What a step is to make.

    Attributes:
        step: Its name.
        fingerprint: Of its options, its data and the steps before.
        inputs: By name, the digest of what each step that it needs has left.
    """

    step: str
    fingerprint: str
    inputs: Mapping[str, str] = field(default_factory=dict)


class Records:
    """The records of one run directory.

    Args:
        folder: ``.stages``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, step: str) -> StageRecord | None:
        """Return the record of a complete step; ``None`` if there is none, or a damaged one."""
        return _read(self._path(step), StageRecord)

    def save(self, step: str, record: StageRecord) -> None:
        """Write the record of a complete step."""
        _write(self._path(step), record)

    def remove(self, step: str) -> None:
        """Remove a record; it stays removed, even if the power is lost."""
        path = self._path(step)
        if path.exists():
            path.unlink()
            sync_folder(self.folder)

    def seal(self) -> Seal | None:
        """Return what vouches for the run's own files; ``None`` unless the run has ended."""
        return _read(self._path(SEAL), Seal)

    def save_seal(self, seal: Seal) -> None:
        """Write what vouches for the run's own files."""
        _write(self._path(SEAL), seal)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def progress_paths(self, step: str) -> list[Path]:
        """Return the journals of a step in work, one for each fingerprint that was begun."""
        return sorted(self.folder.glob(f"{step}.*{PROGRESS}"))

    def begun(self, work: Work) -> bool:
        """Tell whether the same work, on the same inputs, was begun here."""
        head = next(read_journal(self._progress(work)), {})
        return head.get("inputs") == _inputs(work)

    def begin(self, work: Work, done: Iterable[FileRecord]) -> None:
        """Begin a journal anew.

        Args:
            work: What is to be made.
            done: The files of it that are there.
        """
        head: Row = {"inputs": _inputs(work)}
        rows = [head, *(record.model_dump() for record in done)]
        write_journal(self._progress(work), rows)

    def add(self, work: Work, record: FileRecord) -> None:
        """Note a file that is finished and on the disk."""
        with Journal(self._progress(work)) as journal:
            journal.append(record.model_dump())
            journal.sync()

    def finished(self, path: Path) -> list[FileRecord]:
        """Return the files that a step's journal vouches for, the latest of each name, in order."""
        found = {}
        for row in read_journal(path):
            try:
                record = FileRecord.model_validate(row)
            except ValidationError:
                continue  # its head
            found[record.path] = record
        return [found[name] for name in sorted(found)]

    def finished_of(self, work: Work) -> list[FileRecord]:
        """Return the files of that work which are finished."""
        return self.finished(self._progress(work)) if self.begun(work) else []

    def _progress(self, work: Work) -> Path:
        return self.folder / f"{work.step}.{work.fingerprint}{PROGRESS}"


def _inputs(work: Work) -> str:
    return json.dumps(dict(work.inputs), sort_keys=True)


def _write(path: Path, model: BaseModel) -> None:
    content = model.model_dump(mode="json")
    sealed = {**content, _CHECKSUM: checksum_of(content)}
    write_atomically(path, json.dumps(sealed, indent=1).encode())


def _read(path: Path, model: type[M]) -> M | None:
    """Return what a file says, unless it is not what was written."""
    try:
        content = json.loads(path.read_text("utf-8"))
        checksum = content.pop(_CHECKSUM)
        return model.model_validate(content) if checksum == checksum_of(content) else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
