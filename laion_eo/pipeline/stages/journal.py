"""A journal: rows on disk as they come, for a stage whose parts take long to fill."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

SYNC_SECONDS = 1.0
_TIME = "$time"
Row: TypeAlias = dict[str, str | int | datetime | None]


class Journal:
    """An append-only file of JSON lines, read again by the run that follows a killed one.

    A row is with the system once :meth:`append` returns, so it outlives the process; it is on the
    disk a second later, so that a power failure costs no more than that. A last line that is
    truncated is dropped.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._path.open("ab+", buffering=0)
        self._stream.truncate(self._complete())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def _complete(self) -> int:
        """Return the length of the file up to the end of its last complete line."""
        end = self._stream.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65_536)
            self._stream.seek(start)
            place = (self._stream.read(end - start) or b"").rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
        return 0

    def append(self, row: Row) -> None:
        """Add a row."""
        self._stream.write(json.dumps(row, default=_encode).encode() + b"\n")
        if time.monotonic() - self._synced > SYNC_SECONDS:
            os.fsync(self._stream.fileno())
            self._synced = time.monotonic()

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are there, oldest first."""
        with self._path.open("rb") as stream:
            for line in stream:
                yield json.loads(line, object_hook=_decode)


def _encode(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_TIME: value.isoformat()}
    raise TypeError(f"a journal holds texts, numbers and times, not {type(value).__name__}")


def _decode(value: dict[str, str]) -> object:
    return datetime.fromisoformat(value[_TIME]) if _TIME in value else value
