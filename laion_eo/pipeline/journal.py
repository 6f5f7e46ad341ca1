"""A journal: rows on disk as they come, each with a checksum, for work that takes long."""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from laion_eo.files import make_folder, sync_folder, write_atomically

logger = logging.getLogger("laion_eo")

SYNC_SECONDS = 1.0
_TIME = "$time"
_CHECKSUM = 8
"""Hex digits of the CRC-32 that a line begins with."""
Row: TypeAlias = dict[str, str | int | datetime | None]


class Journal:
    """An append-only file of JSON lines, read again by the run that follows a killed one.

    A row is with the system once :meth:`append` returns, so it outlives the process; it is on the
    disk a second later, so that a power failure costs no more than that. A last line that is
    truncated is dropped, and so is any line that is damaged.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        make_folder(self._path.parent)
        new = not self._path.exists()
        self._stream = self._path.open("ab+", buffering=0)
        if new:
            sync_folder(self._path.parent)
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
        self._stream.write(_line(row))
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are there, oldest first, but for damaged ones."""
        return read_journal(self._path)


def read_journal(path: Path) -> Iterator[Row]:
    """Yield the rows of a journal, oldest first; a missing one has none, damaged ones are left out.

    Raises:
        OSError: It cannot be read.
    """
    damaged = 0
    for row in parse_journal(path):
        if row is None:
            damaged += 1
        else:
            yield row
    if damaged:
        logger.warning("%s: %d damaged lines are left out; their work is done again", path, damaged)


def parse_journal(path: Path) -> Iterator[Row | None]:
    """Yield a journal line by line, oldest first, ``None`` for a damaged one.

    Raises:
        OSError: It cannot be read.
    """
    if path.is_file():
        with path.open("rb") as stream:
            yield from map(_parse, stream)


def write_journal(path: Path, rows: Iterable[Row]) -> None:
    """Write a journal anew, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_atomically(path, b"".join(_line(row) for row in rows))


def _line(row: Row) -> bytes:
    text = json.dumps(row, default=_encode).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> Row | None:
    """Return the row of a line; ``None`` if it is not what was written."""
    text = line[_CHECKSUM + 1 : -1]
    if line != b"%08x %s\n" % (zlib.crc32(text), text):
        return None
    row: Row = json.loads(text, object_hook=_decode)
    return row


def _encode(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_TIME: value.isoformat()}
    raise TypeError(f"a journal holds texts, numbers and times, not {type(value).__name__}")


def _decode(value: dict[str, str]) -> object:
    return datetime.fromisoformat(value[_TIME]) if _TIME in value else value
