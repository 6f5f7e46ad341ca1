"""What releases left out, kept in the run directory."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from laion_eo.errors import DataError
from laion_eo.files import sync_folder
from laion_eo.hub.unpublishable import Dropped
from laion_eo.types import JSON

RELEASES = "releases.jsonl"
"""Beside the dataset of a run: a JSON object a line for each release that left rows out."""


def note_release(folder: Path, dropped: Dropped, about: dict[str, JSON]) -> None:
    """Append what a release left out to :data:`RELEASES`, unless it says so already.

    Nothing that is there is changed; a line that a killed process left incomplete stays as it is.

    Args:
        folder: The run directory.
        dropped: What was left out.
        about: Where the release went.

    Raises:
        DataError: The file is a link.
        OSError: The disk cannot take it.
    """
    path = folder / RELEASES
    if path.is_symlink():
        raise DataError(f"{path}: it is a link: remove it.")
    ids = {fault.value: ids for fault, ids in dropped.ids.items()}
    entry = {**about, "dropped": dropped.counts, "ids": ids}
    before = path.read_bytes() if path.exists() else b""
    if any(_said(line) == entry for line in before.splitlines()):
        return
    line = json.dumps({"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **entry})
    begin = "" if before.endswith(b"\n") or not before else "\n"
    with path.open("ab") as stream:
        stream.write(f"{begin}{line}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(folder)


def _said(line: bytes) -> dict[str, JSON] | None:
    """Return what a line says, but for its time; ``None`` of a damaged one."""
    try:
        entry = json.loads(line)
        return {key: value for key, value in entry.items() if key != "at"}
    except (ValueError, AttributeError):
        return None
