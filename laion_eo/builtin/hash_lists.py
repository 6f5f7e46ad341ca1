"""Lists of what is allowed and what is blocked: by URL, or by the hash of the bytes.

An allow-list is the one check against illegal content, so it fails closed: a list that is empty,
or that cannot be read as it was meant, is refused with a reason before anything is downloaded. An
empty *block*-list is legitimate: it blocks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.columns import columns_of
from laion_eo.digests import HashedBytes
from laion_eo.errors import DataError

ROWS = 262_144
"""Rows of an allow-list in memory at a time."""
Column = Literal["url", "md5", "sha256"]
Digests = Sequence[str] | NDArray[np.bytes_]
DIGITS = {"md5": 32, "sha256": 64}
"""Hex digits of a digest."""
_COLUMNS: tuple[Column, ...] = ("url", "md5", "sha256")
_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    getattr(pa.types, "is_string_view", pa.types.is_string),  # not in pyarrow 15
    pa.types.is_null,  # Arrow's type of a column with nothing but missing values
)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
_DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


class HashList:
    """A set of MD5 and SHA-256 digests, for many lookups: 32 or 64 bytes each, no more.

    It has no length and so is never false: "no list" and "a list of nothing" are opposites here.

    Args:
        md5: Lower-case hex digests.
        sha256: Likewise.
    """

    def __init__(self, md5: Digests = (), sha256: Digests = ()) -> None:
        self._sorted = {32: _sorted(md5, 32), 64: _sorted(sha256, 64)}

    @classmethod
    def from_text(cls, path: Path) -> HashList:
        """Read a block-list: a text file with one digest in hex a line; ``#`` begins a comment.

        A file without digests is an empty list, which blocks nothing.

        Raises:
            DataError: The file is missing, or a line is no digest.
        """
        found: dict[int, list[str]] = {32: [], 64: []}
        try:
            with path.open(encoding="utf-8-sig") as stream:
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

    def has(self, data: HashedBytes) -> bool:
        """Tell whether a digest of these bytes is listed."""
        # What is not listed at all is not computed: MD5 takes twice the time of SHA-256.
        return any(
            _contains(self._sorted[length], getattr(data, name))
            for name, length in DIGITS.items()
            if len(self._sorted[length])
        )


def _sorted(digests: Digests, length: int) -> NDArray[np.bytes_]:
    return np.unique(np.asarray(digests, dtype=f"S{length}"))


def _contains(listed: NDArray[np.bytes_], digest: str) -> bool:
    key = np.array(digest, listed.dtype)
    index = int(np.searchsorted(listed, key))
    return index < len(listed) and bool(listed[index] == key)


class AllowList:
    """A user's table of what is allowed, such as the rows of Re-LAION.

    Its column is text, in upper or lower case where it holds digests, perhaps with spaces or the
    algorithm's name around (``sha256:…``); digests may also be binary, raw or in hex. Missing
    values are skipped; a digest that is none is an error, so that a wrong column is noticed.

    Args:
        path: A Parquet file, or a folder of them.

    Attributes:
        files: The Parquet files.
        column: What rows are matched on: ``url``, ``md5`` or ``sha256``, the first that is there.

    Raises:
        DataError: Missing, not Parquet, without a usable column, or without a single row.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not self.files or not all(file.is_file() for file in self.files):
            raise DataError(f"{path}: no such allow-list (a Parquet file, or a folder of them).")
        with _open(self.files[0]) as first:
            self.column = _find_column(self.files[0], first.schema_arrow.names)[0]
        if not any(map(_row_count, self.files)):
            raise self._empty("it has no rows")

    def matching(self, values: Sequence[str]) -> set[str]:
        """Return those of the values that are listed.

        Args:
            values: URLs or lower-case hex digests, as :attr:`column` says.

        Raises:
            DataError: The list is damaged, or has not a single value.
        """
        wanted = pa.array(values, pa.string())
        found: set[str] = set()
        for listed in self._values():
            found.update(listed.filter(pc.is_in(listed, value_set=wanted)).to_pylist())
        return found

    def hashes(self) -> HashList:
        """Return all of the list; :attr:`column` is not ``url``.

        Raises:
            DataError: The list is damaged, or has not a single digest.
        """
        kind = f"S{DIGITS[self.column]}"
        # Part by part: in an array a digest takes a third of the memory that it takes as a string.
        parts = [np.array(listed.to_pylist(), dtype=kind) for listed in self._values()]
        return HashList(**{self.column: np.concatenate(parts)})

    def _values(self) -> Iterator[pa.Array]:
        """Yield the listed values, nulls and blanks left out, digests as lower-case hex.

        Raises:
            DataError: As above; at the end, if there was no value.
        """
        count = 0
        for path in self.files:
            with _open(path) as table:
                column, name = _find_column(path, table.schema_arrow.names)
                if column != self.column:
                    raise DataError(
                        f"{path}: this part of the allow-list has the column {column}, but the "
                        f"first part, {self.files[0]}, has {self.column}."
                    )
                for batch in table.iter_batches(batch_size=ROWS, columns=[name]):
                    found = _as_text(path, name, batch.column(0), column)
                    found = found if column == "url" else _as_digests(path, found, column)
                    found = found.filter(pc.not_equal(found, ""))  # null is not kept either
                    count += len(found)
                    yield found
        if not count:
            raise self._empty(f"its column {self.column} holds nothing but missing values")

    def _empty(self, because: str) -> DataError:
        return DataError(
            f"{self.path}: the allow-list is empty, {because}, so nothing could be downloaded: "
            "give the table that was meant."
        )


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a part of an allow-list; what Arrow says of it while the block runs is one line."""
    try:
        with pq.ParquetFile(path) as table:
            yield table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{path}: not a readable part of the allow-list: {reason}.") from None


def _row_count(path: Path) -> int:
    with _open(path) as table:
        return int(table.metadata.num_rows)


def _find_column(path: Path, names: Sequence[str]) -> tuple[Column, str]:
    """Return what rows are matched on, and how that column is called in this file."""
    for column in _COLUMNS:
        found = columns_of(column, names)
        if len(found) > 1:
            raise DataError(f"{path}: which column is the {column}: {', '.join(found)}? Keep one.")
        if found:
            return column, found[0]
    raise DataError(
        f"{path}: an allow-list needs a column url, md5 or sha256; it has {', '.join(names)}."
    )


def _as_text(path: Path, name: str, values: pa.Array, column: Column) -> pa.Array:
    """Return values as strings, whatever type of text, or of bytes for digests, they have."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if any(is_bytes(kind) for is_bytes in _BYTES):
        if column == "url":
            return values.cast(pa.binary()).cast(pa.string())  # refuses what is not UTF-8
        size = DIGITS[column] // 2
        return pa.array([_hex(value, size) for value in values.to_pylist()], pa.string())
    if not any(is_text(kind) for is_text in _TEXT):
        raise DataError(f"{path}: text wanted in the column {name} of an allow-list, got {kind}.")
    return values.cast(pa.string())


def _hex(value: bytes | None, size: int) -> str | None:
    """Return a digest's hex if it is raw, else what its bytes say as text."""
    if value is None:
        return None
    return value.hex() if len(value) == size else value.decode("ascii", "replace")


def _as_digests(path: Path, texts: pa.Array, column: Column) -> pa.Array:
    """Return digests in lower-case hex without anything around; blanks stay blank.

    Raises:
        DataError: One is no digest of this kind.
    """
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    plain = pc.replace_substring_regex(plain, pattern=rf"^{column}:\s*", replacement="")
    good = pc.match_substring_regex(plain, pattern=f"^([0-9a-f]{{{DIGITS[column]}}})?$")
    bad = texts.filter(pc.invert(good))
    if len(bad):
        raise DataError(
            f"{path}: {DIGITS[column]} hex digits wanted in the column {column} of an allow-list, "
            f"got {bad[0].as_py()[:80]!r}."
        )
    return plain
