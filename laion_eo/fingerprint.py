"""Fingerprints of results: a hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from laion_eo.redaction import without_values
from laion_eo.types import JSON


def fingerprint(value: JSON) -> str:
    """Return 16 hex digits that change whenever the value does, unless only a secret in it does.

    Args:
        value: JSON-like; paths and other objects count as their string.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(without_values(text).encode()).hexdigest()[:16]


def files_identity(paths: Iterable[Path]) -> str:
    """Return a hash of files' names, sizes and modification times, without reading them.

    Args:
        paths: Existing files, always in the same order.
    """
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        about = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        digest.update(without_values(about).encode())
    return digest.hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
