"""The guard of every release: which files may leave this machine, and their bytes, checked once.

Only what the records name is published, and as it was when it was recorded. The files are copied
into a folder of the user's own while they are hashed; what is uploaded is that copy, so nobody
can exchange a file between the check and the upload.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord, fault_of
from laion_eo.hub.cards import CARD
from laion_eo.hub.pictures import check_picture
from laion_eo.kinds import Release

MAX_PICTURE = 20 << 20
"""Bytes of a picture of the report."""
_CHUNK = 1 << 20
_AGAIN = "run `laion-eo run` again, which makes it anew"


def check_tree(release: Release) -> None:
    """See that a dataset's folder holds what its records name, and nothing else.

    The contents are not compared here: :func:`copy_checked` reads them, once.

    Raises:
        DataError: The folder or something in it is a link, or is not named, or is missing; the
            message names it.
    """
    if release.folder.is_symlink():
        raise DataError(f"{release.folder}: it is a link; a release publishes no links.")
    named = set(release.paths())
    folders = {str(parent) for name in named for parent in PurePosixPath(name).parents}
    missing = set(named)
    for entry in _entries(release.folder):
        path = Path(entry.path)
        name = path.relative_to(release.folder).as_posix()
        if entry.is_symlink():
            raise DataError(f"{path}: it is a link; a release publishes no links: remove it.")
        known = folders if entry.is_dir(follow_symlinks=False) else named
        if name not in known:
            raise DataError(f"{path}: the manifest does not name it: move it elsewhere.")
        missing.discard(name)
    if missing:
        raise DataError(f"{release.folder / min(missing)}: it is gone; {_AGAIN}.")
    if CARD not in named:
        raise DataError(f"{release.folder / CARD}: the manifest does not name it; {_AGAIN}.")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder, in order; links are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{folder}: there is no such folder; {_AGAIN}.") from None
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))


def copy_checked(release: Release, target: Path) -> None:
    """Copy the files of a release, and nothing else, into an empty folder.

    Raises:
        DataError: One of them is a link, is gone, or is not as it was recorded.
        OSError: The disk cannot take them.
    """
    for record in release.files:
        path = target / record.path
        path.parent.mkdir(parents=True, exist_ok=True)
        fault = _linked(release.folder, record) or _copy(release.folder, record, path)
        if fault:
            raise DataError(f"{release.folder / record.path}: {fault}; {_AGAIN}.")


def _linked(folder: Path, record: FileRecord) -> str | None:
    """Return what is wrong with a path: it leaves the folder, or a part of it is a link."""
    parts = PurePosixPath(record.path).parts
    steps = [folder.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    if ".." in parts or PurePosixPath(record.path).is_absolute():
        return "it lies elsewhere"
    return "it is a link, or lies in one" if any(step.is_symlink() for step in steps) else None


def _copy(folder: Path, record: FileRecord, target: Path) -> str | None:
    """Copy one file and return what is wrong with what was read."""
    digest, size = hashlib.sha256(), 0
    try:
        source = _opened(folder / record.path)
    except OSError:
        return fault_of(folder, record) or "it cannot be read"
    with source as stream, target.open("xb") as copy:
        while size <= record.bytes and (chunk := stream.read(_CHUNK)):
            digest.update(chunk)
            size += len(chunk)
            copy.write(chunk)
    if size == record.bytes and digest.hexdigest() == record.sha256:
        return None
    return fault_of(folder, record, thorough=True) or "it was changed while it was read"


def _opened(path: Path) -> BinaryIO:
    """Open a file; a link, or what is no file (it could keep its reader waiting), is an error."""
    flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")
    number = os.open(path, sum((getattr(os, flag, 0) for flag in flags), os.O_RDONLY))
    if stat.S_ISREG(os.fstat(number).st_mode):
        return os.fdopen(number, "rb")
    os.close(number)
    raise OSError(errno.EINVAL, "it is no file")


@contextmanager
def checked_copy(release: Release) -> Iterator[Release]:
    """Copy what a release publishes into a folder that is the user's alone, for as long as needed.

    Yields:
        The same release, of the copies.

    Raises:
        DataError: A file is missing, is a link, is not named or was changed; a picture is none, or
            not a safe one. The message names it.
        OSError: The disk cannot take the copy; ``TMPDIR`` says where it goes.
    """
    check_tree(release)
    with TemporaryDirectory(prefix="laion-eo-release-") as place:
        folder, pictures = Path(place, "dataset"), Path(place, "figures")
        folder.mkdir()
        pictures.mkdir()
        copy_checked(release, folder)
        copies = tuple(_copied_picture(path, pictures) for path in release.figures)
        yield replace(release, folder=folder, figures=copies)


def _copied_picture(path: Path, folder: Path) -> Path:
    """Copy a picture of the report, if it is one that may be shown to anybody."""
    target = folder / path.name
    if target.exists():
        raise DataError(f"{path}: two pictures of the report have this name: rename one.")
    try:
        with _opened(path) as stream:
            content = stream.read(MAX_PICTURE + 1)
    except OSError as error:
        raise DataError(f"{path}: it cannot be released: {error.strerror}.") from None
    fault = (
        f"more than {MAX_PICTURE >> 20} MiB"
        if len(content) > MAX_PICTURE
        else check_picture(path.suffix, content)
    )
    if fault:
        raise DataError(f"{path}: not a picture to publish: {fault}; remove it from the report.")
    target.write_bytes(content)
    return target
