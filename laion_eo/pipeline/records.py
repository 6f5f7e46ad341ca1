"""The records in ``.stages/``: what each complete step left, and what a step in work has so far.

- ``STEP.json``: the record of a complete step, with the hash of each of its files.
- ``STEP.FINGERPRINT.progress``: a journal of the parts that are finished while a step is in work,
  each with the session that made it.
- ``run.json``: the seal, written last: the hashes of ``manifest.json``, ``run.toml``, the history.
- ``history.jsonl``: what every session did (:mod:`laion_eo.pipeline.history`).

A record is on the disk only after all that it vouches for, and is removed before that is touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from laion_eo.file_record import FileRecord, checksum_of
from laion_eo.files import sync_folder, write_atomically
from laion_eo.pipeline.journal import Journal, Row, read_journal, write_journal
from laion_eo.pipeline.manifest import Maker, Seal, StageRecord

M = TypeVar("M", bound=BaseModel)

SEAL = "run"
"""Name of the seal; no step is called so."""
PROGRESS = ".progress"
PART = re.compile(r"part-(\d+)-([0-9a-f]+)\.parquet")
_CHECKSUM, _MAKER, _SESSION = "checksum", "maker", "session"


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

    def begin(self, work: Work, done: Iterable[FileRecord], makers: Sequence[Maker] = ()) -> None:
        """Begin a journal anew.

        Args:
            work: What is to be made.
            done: The files of it that are there.
            makers: The sessions that made them.
        """
        rows: list[Row] = [{"inputs": _inputs(work)}, *map(_maker_row, makers)]
        rows += [_file_row(record, _owner(makers, record)) for record in done]
        write_journal(self._progress(work), rows)

    def add(self, work: Work, record: FileRecord, session: str = "") -> None:
        """Note a file that is finished and on the disk, and the session that made it."""
        self._append(work, _file_row(record, session))

    def note(self, work: Work, maker: Maker) -> None:
        """Note a session that works on it; the latest note of a session counts."""
        self._append(work, _maker_row(maker))

    def _append(self, work: Work, row: Row) -> None:
        with Journal(self._progress(work)) as journal:
            journal.append(row)
            journal.sync()

    def makers(self, work: Work) -> tuple[Maker, ...]:
        """Return the sessions that worked on it, oldest first, with the parts of each."""
        makers: dict[str, Maker] = {}
        owners: dict[str, str] = {}
        for row in read_journal(self._progress(work)):
            if _MAKER in row:
                maker = Maker.model_validate_json(str(row[_MAKER]))
                makers[maker.session] = maker
            elif "path" in row:
                owners[str(row["path"])] = str(row.get(_SESSION))
        parts: dict[str, list[int]] = {session: [] for session in makers}
        for path, session in owners.items():
            parts.setdefault(session, []).append(part_number(path))
        return tuple(
            maker.model_copy(update={"parts": _ranges(parts[session])})
            for session, maker in makers.items()
        )

    def finished(self, path: Path) -> list[FileRecord]:
        """Return the files that a step's journal vouches for, the latest of each name, in order."""
        found = {}
        for row in read_journal(path):
            try:
                record = FileRecord.model_validate(row)
            except ValidationError:
                continue  # its head, or a maker
            found[record.path] = record
        return [found[name] for name in sorted(found)]

    def finished_of(self, work: Work) -> list[FileRecord]:
        """Return the files of that work which are finished."""
        return self.finished(self._progress(work)) if self.begun(work) else []

    def _progress(self, work: Work) -> Path:
        return self.folder / f"{work.step}.{work.fingerprint}{PROGRESS}"


def _inputs(work: Work) -> str:
    return json.dumps(dict(work.inputs), sort_keys=True)


def part_number(path: str) -> int:
    """Return which part of a stage's table a file is; -1 for any other file."""
    match = PART.fullmatch(Path(path).name)
    return int(match[1]) if match else -1


def _owner(makers: Iterable[Maker], file: FileRecord) -> str:
    """Return the session that made a part; ``""`` if it is not known."""
    number = part_number(file.path)
    sessions = (m.session for m in makers for a, b in m.parts if a <= number <= b)
    return next(sessions, "")


def _ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return the first and the last number of each run of consecutive ones."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def _file_row(record: FileRecord, session: str) -> Row:
    return {**record.model_dump(), _SESSION: session}


def _maker_row(maker: Maker) -> Row:
    return {_MAKER: maker.model_dump_json()}


def _write(path: Path, model: BaseModel) -> None:
    content = model.model_dump(mode="json")
    sealed = {**content, _CHECKSUM: checksum_of(content)}
    write_atomically(path, json.dumps(sealed, indent=1).encode())


def _read(path: Path, model: type[M]) -> M | None:
    """Return what a file says, unless it is not what was written."""
    if not path.is_file():  # a pipe would never end
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        checksum = content.pop(_CHECKSUM)
        return model.model_validate(content) if checksum == checksum_of(content) else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
