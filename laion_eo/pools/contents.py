"""Notices images that have changed since they were embedded."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable

from laion_eo.fingerprint import fingerprint
from laion_eo.pools.sources import Listed, PoolSource, TarMember

Stamp = tuple[int, int, int] | None


def stamp_of(source: PoolSource, entry: Listed) -> Stamp:
    """Return what cheaply tells that an entry's file was touched: its size and both of its times.

    A copy may keep the time of the content (``cp -p``), but not the time at which the file changed.
    That time changes as well where nothing else does, by a move to another disk, say; then the
    contents are compared.

    Returns:
        ``None`` for what is fetched, is no file, or is not there.
    """
    path = source.file_of(entry)
    try:
        found = path.stat() if path is not None else None
    except (OSError, ValueError):  # a name with a NUL is a ValueError
        return None
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def content_of(source: PoolSource, entry: Listed) -> str:
    """Return the SHA-256 of an entry's bytes; ``""`` where :func:`stamp_of` gives ``None``."""
    path = source.file_of(entry)
    if path is None or stamp_of(source, entry) is None:
        return ""
    try:
        with path.open("rb") as stream:
            if isinstance(entry, TarMember):
                stream.seek(entry.offset)
                return hashlib.sha256(stream.read(entry.size)).hexdigest()
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def digest_of_stamps(stamps: Iterable[Stamp]) -> str:
    """Return 16 hex digits that change when one of the stamps does."""
    return fingerprint(list(stamps))


def digest_of_contents(contents: Iterable[str]) -> str:
    """Return 16 hex digits that change when one of the contents does."""
    return fingerprint(list(contents))
