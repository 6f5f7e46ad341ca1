"""Files and folders that are written completely or not at all, and survive a loss of power."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that cannot sync a folder, such as some of the network."""
WORKING = ".working"
"""Suffix of temporary files and folders, which are still being written."""


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk.

    Raises:
        OSError: The disk cannot take it.
    """
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's entries, such as a new or a renamed file, are on the disk.

    Raises:
        OSError: The disk cannot take it.
    """
    if sys.platform == "win32":  # no folder can be opened there; NTFS keeps its own journal
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(folder)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there; they survive a loss of power.

    Raises:
        OSError: It cannot be made.
    """
    missing = []
    for folder in (path, *path.parents):
        if folder.exists():
            break
        missing.append(folder)
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


@contextmanager
def written_aside(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Write to a temporary file, which is renamed to ``path`` when the block succeeds.

    Args:
        path: The file.
        durable: Whether it is on the disk when the block has ended, and survives a loss of power.
            Without it, a caller that writes many files has to sync them, and their folder, itself.

    Yields:
        The temporary file, in the same folder, which is created if it does not exist.

    Raises:
        OSError: It cannot be written; the previous file, if there is one, is unchanged.
    """
    make_folder(path.parent)
    # The name has the process id, because two processes may write the same file of a cache.
    aside = path.with_name(f"{path.name}.{os.getpid()}{WORKING}")
    try:
        yield aside
        if durable:
            sync_file(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file completely or not at all.

    Args:
        path: The file.
        content: Its bytes.
        durable: As for :func:`written_aside`.

    Raises:
        OSError: It cannot be written; the previous file, if there is one, is unchanged.
    """
    with written_aside(path, durable=durable) as aside:
        aside.write_bytes(content)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder, which replaces ``path`` when the block succeeds.

    Its files are on the disk before it takes that place, and the place when the block has ended.

    Yields:
        The temporary folder, empty, beside ``path``; one that a killed process left is deleted.

    Raises:
        OSError: As the disk says; the folder that was there before is unharmed.
    """
    aside = path.with_name(f".{path.name}{WORKING}")
    old = path.with_name(f".{path.name}.old{WORKING}")
    restore_folder(path)
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    make_folder(aside)
    try:
        yield aside
        _sync_tree(aside)
        _swap(aside, path, old)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Put back what :func:`replaced_folder` had moved away when its process was killed.

    Raises:
        OSError: As the disk says.
    """
    old = path.with_name(f".{path.name}.old{WORKING}")
    if old.is_dir() and not path.exists():
        old.rename(path)


def _sync_tree(folder: Path) -> None:
    """Wait until a folder and everything in it is on the disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            sync_file(path)
    sync_folder(folder)


def _swap(aside: Path, path: Path, old: Path) -> None:
    """Put a folder in the place of another, which moves to ``old``, or change nothing."""
    there = path.is_dir() and not path.is_symlink()
    if there:
        path.rename(old)
    try:
        aside.rename(path)
    except OSError:
        if there:
            old.rename(path)
        raise
