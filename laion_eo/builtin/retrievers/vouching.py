"""Compares a pool with its record before it is searched: never a part of it, never another one.

A pool of ours is refused if it is incomplete, or if a file is missing, added or not what its record
says. On this machine contents are compared (:mod:`laion_eo.file_record`), elsewhere the names and
sizes. Nothing vouches for a third-party pool.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

from laion_eo.builtin.retrievers.pool_record import (
    DONE,
    FOLDERS,
    INDEX,
    OLD_MARKER,
    PoolAbout,
    PoolRecord,
    read_about,
)
from laion_eo.builtin.retrievers.storage import Folder
from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord, fault_of

HASHED_TOGETHER = 4
"""Files that are read at the same time."""
SEARCHED = (".npy", ".npz", ".parquet", ".arrow", ".h5", ".hdf5")
"""Extensions of vectors and metadata."""


class Vouched:
    """A pool as its record has it.

    Args:
        location: Path or URL of the pool.

    Raises:
        DataError: It cannot be listed.
    """

    def __init__(self, location: str) -> None:
        self.folder = Folder(location)
        self._place = location.rstrip("/")
        self._listed = False
        self._hashed: set[str] = set()

    @cached_property
    def about(self) -> PoolAbout:
        """What the pool says of itself: a :class:`PoolRecord`, if it is one of ours.

        Raises:
            DataError: It is damaged, or the record is missing that a pool of ours has.
        """
        found = read_about(self.folder)
        if found is None or not _ours(found):
            self._check_not_ours(found)
        return found or PoolAbout()

    def _check_not_ours(self, found: PoolAbout | None) -> None:
        """Raise where a pool of ours has lost its record, or an old one was never finished."""
        place = self._place
        done = {path for path in self.folder.paths if path.startswith(f"{DONE}/")}
        if done and found is None:
            raise DataError(
                f"{place}/{INDEX}: it is gone, or the indexing has not finished. Do the command "
                f"again that began it: `laion-eo index ... --out {place}`."
            )
        if done and f"{DONE}/{OLD_MARKER}" not in done:
            raise DataError(
                f"{place}/{INDEX}: its content has changed; do the command again that made the "
                f"pool: `laion-eo index ... --out {place}`."
            )

    def vouches_for(self, path: str) -> bool:
        """Tell whether the record of a pool of ours has a file."""
        return _ours(self.about) and self.about.file(path) is not None

    @property
    def vouched(self) -> bool:
        """Whether it is a pool of ours."""
        return _ours(self.about)

    def check(self) -> None:
        """Compare the whole pool with its record.

        Raises:
            DataError: It is incomplete, or a file is missing, added or altered.
        """
        about = self.about
        self.check_files([file.path for file in about.files] if _ours(about) else ())

    def check_files(self, paths: Collection[str]) -> None:
        """Compare some files with their records, each once, and the pool's names and sizes.

        Args:
            paths: Below the pool; those that it does not vouch for are let be.

        Raises:
            DataError: As :meth:`check`.
        """
        record, root = self.about, self.folder.path
        if not _ours(record):
            return
        if not self._listed:
            self._check_names(record)
            self._listed = True
        wanted = {*paths} - self._hashed
        todo = [file for file in record.files if file.path in wanted]
        if root is None or not todo:
            return
        with ThreadPoolExecutor(HASHED_TOGETHER) as threads:
            faults = [*threads.map(lambda file: fault_in(root, file), todo)]
        for file, fault in zip(todo, faults, strict=True):
            if fault:
                raise self._refusal(record, file.path, fault)
        self._hashed |= {file.path for file in todo}

    def _check_names(self, record: PoolRecord) -> None:
        there = self.folder.paths
        if not record.complete:
            raise DataError(
                f"{self._place}: incomplete: its indexing has not finished. This finishes it: "
                f"{self._command(record)}"
            )
        for file in record.files:
            if file.path not in there:
                raise self._refusal(record, file.path, "it is gone")
            if (size := self.folder.at(file.path).size) != file.bytes:
                fault = f"it has {size:,} bytes instead of {file.bytes:,}"
                raise self._refusal(record, file.path, fault)
        known = {file.path for file in record.files}
        for path in sorted(there):
            if is_searched(path) and path not in known:
                raise self._refusal(record, path, "it is not in the pool's record")

    def _refusal(self, record: PoolRecord, path: str, fault: str) -> DataError:
        command = self._command(record)
        return DataError(f"{self._place}/{path}: {fault}. This makes the pool again: {command}")

    def _command(self, record: PoolRecord) -> str:
        # Nothing is indexed into a place on another machine.
        return record.command(self._place if self.folder.path else "...")


def _ours(about: PoolAbout) -> TypeGuard[PoolRecord]:
    return isinstance(about, PoolRecord)


def is_searched(path: str) -> bool:
    """Tell whether a retriever would take a file below a pool for vectors or metadata."""
    top, slash, _ = path.partition("/")
    return path.lower().endswith(SEARCHED) and (not slash or top in FOLDERS)


def fault_in(root: Path, record: FileRecord, *, thorough: bool = False) -> str | None:
    """Return what is wrong with a file of a pool, as :func:`laion_eo.file_record.fault_of` does.

    Args:
        root: The pool.
        record: The file.
        thorough: Hash all of it, however large.
    """
    folder = (root / record.path).parent
    if folder != root and folder.is_symlink():
        return "its folder is a link"
    return fault_of(root, record, thorough=thorough)
