"""Walks a folder that nobody vouches for: every plain file of it, and never through a link."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from laion_eo.integrity.findings import Findings

_COMMIT = re.compile(r"[0-9a-f]{40}")


def plain_files(findings: Findings, folder: Path, passed: Collection[str] = ()) -> Iterator[Path]:
    """Yield the files of a folder and its folders, sorted; note everything else as a fault.

    Links, sockets and the like are faults, and so are folders that are empty or cannot be read. A
    link from a snapshot in the Hub's cache to its blobs is a file.

    Args:
        findings: Where faults go.
        folder: Below the root of the findings, or the root.
        passed: Names in it that are passed over, with a note.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        findings.fault(folder, _unreadable(error))
        return
    if not entries and folder != findings.root:
        findings.fault(folder, "it is an empty folder")
    for entry in entries:
        path = Path(entry.path)
        if entry.name in passed:
            findings.note(f"{findings.name(path)}: nothing vouches for it")
        elif is_link(path):
            findings.fault(path, "it is a link")
        elif entry.is_dir(follow_symlinks=False):
            yield from plain_files(findings, path)
        elif entry.is_file():
            yield path
        else:
            findings.fault(path, "it is no file")


def is_link(path: Path) -> bool:
    """Tell whether a path is a link, but for one of the Hub's cache into its own blobs."""
    if not path.is_symlink():
        return False
    for snapshot in path.parents:
        if _COMMIT.fullmatch(snapshot.name) and snapshot.parent.name == "snapshots":
            blobs = snapshot.parent.parent / "blobs"
            return path.resolve().parent != blobs.resolve() or not path.is_file()
    return True


def _unreadable(error: OSError) -> str:
    return f"it cannot be read: {error.strerror}"


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's plain files, as far as they can be seen."""
    total = 0
    for place, _, names in os.walk(folder, onerror=None):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink() and path.is_file():
                total += path.stat().st_size
    return total
