"""Files and folders that are written completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKING = ".working"
"""Suffix of temporary files and folders, which are still being written."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Write to a temporary file, which is renamed to ``path`` when the block succeeds.

    Yields:
        The temporary file, in the same folder, which is created if it does not exist.

    Raises:
        OSError: It cannot be written; the previous file, if there is one, is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name has the process id, because two processes may write the same file of a cache.
    aside = path.with_name(f"{path.name}.{os.getpid()}{WORKING}")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        OSError: It cannot be written; the previous file, if there is one, is unchanged.
    """
    with written_aside(path) as aside:
        aside.write_bytes(content)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder, which replaces ``path`` when the block succeeds.

    Yields:
        The temporary folder, empty, beside ``path``; one that a killed process left is deleted.

    Raises:
        OSError: As the disk says; the folder that was there before is unharmed.
    """
    aside = path.with_name(f".{path.name}{WORKING}")
    old = path.with_name(f".{path.name}.old{WORKING}")
    if old.is_dir() and not path.exists():
        old.rename(path)  # a process was killed between the two renames below
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        _swap(aside, path, old)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


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
