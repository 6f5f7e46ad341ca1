"""The folder that an indexing writes to: whose it is, who works in it, and what lies in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from laion_eo.builtin.retrievers.pool_record import (
    DONE,
    FAISS,
    FOLDERS,
    INDEX,
    MAX_BYTES,
    OLD_MARKER,
    PoolRecord,
    decode,
)
from laion_eo.errors import DataError, RunError
from laion_eo.files import WORKING, make_folder, sync_folder, write_atomically
from laion_eo.pools.shards import SUFFIXES, shard_path

PIECES = f"{DONE}/pieces"
LOCK = f"{DONE}/.lock"


class PoolFolder:
    """A pool of ours on this machine.

    Args:
        path: The folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process alone; one that is not ours is never touched.

        Raises:
            DataError: It holds files that are not of an indexing.
            RunError: Another process works in it.
        """
        self._check_ours()
        make_folder(self.path / DONE)
        lock = FileLock(self.path / LOCK, timeout=0, preserve_lock_file=True)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"{self.path}: another laion-eo indexes into this folder.") from None
        try:
            yield
        finally:
            lock.release()

    def _check_ours(self) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise DataError(f"{self.path}: a file; an index needs its own folder.")
        names = sorted(path.name for path in self.path.iterdir())
        # Without either it could be a third-party pool.
        ours = DONE in names or self.read() is not None
        other = self._unknown() if ours else names
        if other:
            raise DataError(f"{self.path}: holds {other[0]!r}; an index needs its own folder.")
        for name in (DONE, *FOLDERS):
            if (self.path / name).is_symlink():
                raise DataError(f"{self.path / name}: a link; an index needs its own folder.")

    def _unknown(self) -> list[str]:
        """Return the paths of files and folders that no indexing leaves."""
        ours = {
            DONE,
            PIECES,
            *FOLDERS,
        }  # a link among them is named elsewhere
        files = [path for path in self.paths() if not is_known(path) and path not in ours]
        folders = {path.relative_to(self.path).as_posix() for path in self.path.rglob("*/")}
        return files or sorted(folders - ours)

    def paths(self) -> list[str]:
        """Return the paths below it of all that lies in it, but for folders, sorted."""
        found = [path for path in self.path.rglob("*") if path.is_symlink() or not path.is_dir()]
        return sorted(path.relative_to(self.path).as_posix() for path in found)

    def read(self) -> PoolRecord | None:
        """Return the record; ``None`` if there is none, or it is damaged, or not one of ours."""
        if not (self.path / INDEX).is_file():
            return None
        try:
            with (self.path / INDEX).open("rb") as stream:
                found = decode(stream.read(MAX_BYTES))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, PoolRecord) else None

    def write(self, record: PoolRecord) -> None:
        """Write the record; what it vouches for is on the disk."""
        write_atomically(self.path / INDEX, record.encode())

    def is_old(self) -> bool:
        """Tell whether it was made by a laion-eo whose records do not vouch for the files."""
        return (self.path / DONE / OLD_MARKER).exists()

    def holds(self, record: PoolRecord, paths: Iterable[str]) -> bool:
        """Tell whether it has this record, and these files and no others."""
        try:
            there = (self.path / INDEX).read_bytes()
        except OSError:
            return False
        return there == record.encode() and {*self.paths()} == {*paths, INDEX, LOCK}

    def keep_only(self, paths: Iterable[str]) -> None:
        """Remove all files but these, the record, the lock and the pieces."""
        wanted = {*paths, INDEX, LOCK}
        removed = set()
        for name in self.paths():
            piece = name.startswith(f"{PIECES}/") and not name.endswith(WORKING)
            if name not in wanted and not piece:
                (self.path / name).unlink()
                removed.add((self.path / name).parent)
        for folder in removed:
            sync_folder(folder)
        for name in FOLDERS:
            make_folder(self.path / name)


def is_known(path: str) -> bool:
    """Tell whether an indexing may leave a file of that path below a pool."""
    folder, _, name = path.rpartition("/")
    if name.endswith(WORKING):
        return folder in ("", DONE, PIECES, *FOLDERS)
    if folder == "":
        return name in (INDEX, FAISS)
    if folder == DONE:
        stem, dot, suffix = name.rpartition(".")
        numbered = dot and suffix == "json" and stem.isdecimal()
        return bool(numbered) or path == LOCK or name == OLD_MARKER
    if folder == PIECES:
        return name.endswith(".piece")
    if folder not in FOLDERS:
        return False
    number = name.removeprefix(f"{folder}_").removesuffix(SUFFIXES[folder])
    return number.isdecimal() and path == shard_path(folder, number)
