"""Lists of what may be had and what may not: by URL, or by the hash of the bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.errors import DataError

ROWS = 262_144
"""Rows of an allow-list in memory at a time."""
_COLUMNS = {"url": "url", "URL": "url", "md5": "md5", "sha256": "sha256"}
_DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


class HashList:
    """A set of MD5 and SHA-256 digests: 32 or 64 bytes each, no more.

    Args:
        md5: Lower-case hex digests.
        sha256: Likewise.
    """

    def __init__(self, md5: Collection[str] = (), sha256: Collection[str] = ()) -> None:
        self._sorted = {32: _sorted(md5, 32), 64: _sorted(sha256, 64)}

    @classmethod
    def from_text(cls, path: Path) -> HashList:
        """Read a text file with one digest in hex a line; ``#`` begins a comment.

        Raises:
            DataError: The file is missing, or a line is no digest.
        """
        found: dict[int, list[str]] = {32: [], 64: []}
        try:
            with path.open(encoding="utf-8") as stream:
                for number, line in enumerate(stream, 1):
                    digest = line.partition("#")[0].strip().lower()
                    if not digest:
                        continue
                    if not _DIGEST.fullmatch(digest):
                        raise DataError(
                            f"{path}, line {number}: an MD5 or a SHA-256 in hex wanted, "
                            f"got {digest[:80]!r}."
                        )
                    found[len(digest)].append(digest)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: the block-list cannot be read: {error}.") from None
        return cls(found[32], found[64])

    def __len__(self) -> int:
        return sum(map(len, self._sorted.values()))

    def has(self, digest: str) -> bool:
        """Tell whether a lower-case hex digest is listed."""
        listed = self._sorted[len(digest)]
        if not len(listed):
            return False
        key = np.array(digest, listed.dtype)
        place = int(np.searchsorted(listed, key))
        return place < len(listed) and bool(listed[place] == key)

    def has_any(self, data: bytes) -> bool:
        """Tell whether a digest of these bytes is listed."""
        if not len(self):
            return False
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return self.has(md5) or self.has(hashlib.sha256(data).hexdigest())


def _sorted(digests: Collection[str], length: int) -> NDArray[np.bytes_]:
    return np.unique(np.array(list(digests), dtype=f"S{length}"))


class AllowList:
    """A user's table of what may be had, such as the rows of Re-LAION.

    Args:
        path: A Parquet file, or a folder of them.

    Raises:
        DataError: Missing, not Parquet, or without a column ``url``, ``md5`` or ``sha256``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not self.files or not all(file.is_file() for file in self.files):
            raise DataError(f"{path}: no such allow-list (a Parquet file, or a folder of them).")

    @cached_property
    def _named(self) -> str:
        try:
            names = pq.read_schema(self.files[0]).names
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.files[0]}: not a Parquet file: {error}.") from None
        for name in _COLUMNS:
            if name in names:
                return name
        raise DataError(
            f"{self.files[0]}: an allow-list needs a column url, md5 or sha256; "
            f"it has {', '.join(names)}."
        )

    @property
    def column(self) -> str:
        """What rows are told by: ``url``, ``md5`` or ``sha256``."""
        return _COLUMNS[self._named]

    def matching(self, values: Sequence[str]) -> set[str]:
        """Return those of the values that are listed.

        Args:
            values: URLs or digests, as :attr:`column` says.
        """
        wanted = pa.array(values, pa.string())
        found: set[str] = set()
        for batch in self._batches():
            listed = pc.is_in(batch, value_set=wanted)
            found.update(batch.filter(listed).to_pylist())
        return found

    def hashes(self) -> HashList:
        """Return the whole list; :attr:`column` is not ``url``."""
        digests = [digest for batch in self._batches() for digest in batch.to_pylist() if digest]
        return HashList(**{self.column: digests})

    def _batches(self) -> Iterator[pa.Array]:
        """Yield the listed values, digests in lower case."""
        for path in self.files:
            try:
                table = pq.ParquetFile(path)
                for batch in table.iter_batches(batch_size=ROWS, columns=[self._named]):
                    text = batch.column(0).cast(pa.string())
                    yield text if self.column == "url" else pc.utf8_lower(text)
            except (pa.ArrowInvalid, OSError, KeyError, IndexError) as error:
                raise DataError(
                    f"{path}: not a readable part of the allow-list: {error}."
                ) from None
