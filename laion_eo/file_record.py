"""What a file was when it was written: its size and hash, to be compared with what is there now."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from laion_eo.fingerprint import fingerprint
from laion_eo.types import JSON

SAMPLED_ABOVE = 64 << 20
"""Bytes above which a file is compared by its size and a sample, unless all of it is asked for."""
SAMPLES, SAMPLE_BYTES = 64, 64 << 10
_HEX = r"^[0-9a-f]{64}$"


class FileRecord(BaseModel):
    """One file, as it was when its record was written.

    Attributes:
        path: Relative to the folder of the record that names it, with forward slashes.
        bytes: Its size.
        sha256: Hash of its content, lower-case hex.
        rows: Rows of its table; ``None`` if it holds none.
        sample: SHA-256 of 64 pieces of 64 KiB, evenly spaced from its beginning to its end;
            ``None`` for a file of up to 64 MiB, which is always hashed whole.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str = Field(min_length=1)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=_HEX)
    rows: int | None = Field(default=None, ge=0)
    sample: str | None = Field(default=None, pattern=_HEX)


def record_file(root: Path, path: Path, rows: int | None = None) -> FileRecord:
    """Return the record of a file that is complete.

    Args:
        root: The folder that the record's path starts at.
        path: The file, below ``root``.
        rows: Rows of its table, if it holds one.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    sample = _sample(path, size) if size > SAMPLED_ABOVE else None
    relative = path.relative_to(root).as_posix()
    return FileRecord(path=relative, bytes=size, sha256=digest, rows=rows, sample=sample)


def fault_of(root: Path, record: FileRecord, *, thorough: bool = False) -> str | None:
    """Return what is wrong with a file; ``None`` if it is what its record says.

    Args:
        root: The folder that the record's path starts at.
        record: The record.
        thorough: Hash all of a file above 64 MiB, too, instead of a sample of it.

    Returns:
        Such as ``it is gone`` or ``its content has changed``, to follow the file's name.
    """
    path = root / record.path
    if path.is_symlink() or _outside(record.path):
        return "it is a link, or lies elsewhere"
    if not path.is_file():
        return "it is gone" if not path.exists() else "it is no file"
    try:
        size = path.stat().st_size
        if size != record.bytes:
            return f"it has {size:,} bytes instead of {record.bytes:,}"
        if record.sample is not None and not thorough:
            same = _sample(path, size) == record.sample
        else:
            with path.open("rb") as stream:
                same = hashlib.file_digest(stream, "sha256").hexdigest() == record.sha256
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if same else "its content has changed"


def digest_of(records: Iterable[FileRecord]) -> str:
    """Return 16 hex digits that change whenever the name or the content of a file does.

    Args:
        records: Always in the same order.
    """
    return fingerprint([[record.path, record.sha256] for record in records])


def checksum_of(content: Mapping[str, JSON]) -> str:
    """Return the SHA-256 of plain JSON, which a record of files carries to vouch for itself.

    Args:
        content: Without the checksum; the order of its keys does not matter.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _outside(path: str) -> bool:
    parts = Path(path).parts
    return Path(path).is_absolute() or os.pardir in parts


def _sample(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for number in range(SAMPLES):
            stream.seek((size - SAMPLE_BYTES) * number // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()
