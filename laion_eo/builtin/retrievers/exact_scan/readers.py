"""Files of vectors: npy, npz, parquet, HDF5; on this disk or behind any fsspec URL.

A reader knows the shape of its file and reads ranges of rows, in order, into memory.
"""

from __future__ import annotations

import io
import threading
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import IO, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.storage import MAX_ROWS, Stored, open_hdf5, parse_errors, reason_of
from laion_eo.columns import ALIASES, find_column
from laion_eo.errors import DataError

Vectors = NDArray[np.floating]
TAKEN_TOGETHER = 1 << 14
"""Rows that are read together where single ones are wanted."""


class Reader(ABC):
    """One file of vectors.

    Attributes:
        kind: What messages call the format.
        source: The file.
        rows: Number of vectors.
        dim: Their dimension.
        itemsize: Bytes per component in memory.
    """

    kind: ClassVar[str]
    rows: int
    dim: int
    itemsize: int

    def __init__(self, source: Stored, key: str | None) -> None:
        self.source = source
        self.key = key
        try:
            self._open()
        except DataError:
            raise
        except parse_errors() as error:
            fault = f"incomplete, or not a {self.kind} file: {reason_of(error)}"
            raise DataError(f"{source}: {fault}") from None

    @abstractmethod
    def _open(self) -> None:
        """Set rows, dim and itemsize."""

    @abstractmethod
    def _read(self, start: int, stop: int, step: int) -> Iterator[Vectors]:
        """Yield consecutive rows, at most ``step`` at a time."""

    def read(self, start: int, stop: int, step: int) -> Iterator[Vectors]:
        """Yield rows ``start`` to ``stop``, at most ``step`` at a time: (rows, dim), any float.

        Raises:
            DataError: The file is damaged.
        """
        try:
            yield from self._read(start, stop, step)
        except DataError:
            raise
        except parse_errors() as error:
            fault = f"damaged {self.kind} file: {reason_of(error)}"
            raise DataError(f"{self.source}: {fault}") from None

    def take(self, rows: NDArray[np.int64]) -> Vectors:
        """Return some rows: (m, dim), any float.

        Args:
            rows: int64, (m,), ascending, each once; at least one.

        Raises:
            DataError: The file is damaged.
        """
        try:
            return self._take(rows)
        except DataError:
            raise
        except parse_errors() as error:
            fault = f"damaged {self.kind} file: {reason_of(error)}"
            raise DataError(f"{self.source}: {fault}") from None

    def _take(self, rows: NDArray[np.int64]) -> Vectors:
        """Read from the first row to the last: few formats can do better."""
        first, last = int(rows[0]), int(rows[-1]) + 1
        wanted: list[Vectors] = []
        start = first
        for part in self._read(first, last, TAKEN_TOGETHER):
            low, high = np.searchsorted(rows, [start, start + len(part)])
            wanted.append(part[rows[low:high] - start])
            start += len(part)
        return np.concatenate(wanted)

    def _shape(self, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        if len(shape) != 2 or not np.issubdtype(dtype, np.floating):
            raise DataError(
                f"{self.source}: floats (rows, dim) expected, got {dtype} {tuple(shape)}."
            )
        rows, dim = map(int, shape)
        if not (0 <= rows <= MAX_ROWS and 0 <= dim <= MAX_ROWS) or (rows and not dim):
            raise DataError(f"{self.source}: {rows} vectors of length {dim}.")
        self.rows, self.dim, self.itemsize = rows, dim, dtype.itemsize

    def _choose(self, names: Sequence[str], what: str) -> str:
        """Return the array to read: the one that the option `key` names, or a known one."""
        found = find_column("vector", names) if self.key is None else self.key
        if found is not None and found in names:
            return found
        wanted = " or ".join(ALIASES["vector"]) if self.key is None else repr(self.key)
        raise DataError(
            f"{self.source}: no {what} {wanted}; it has {', '.join(names) or 'none'}. "
            "Name one with the option `key`."
        )


MAX_HEADER = 10_000
"""Bytes of the header of an .npy file that numpy parses."""
_PARSING = threading.Lock()


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an .npy file; return the shape and the type of its array."""
    version = npy.read_magic(stream)
    parsers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in parsers:
        raise ValueError(f"npy version {version}")
    length = stream.read(2 if version == (1, 0) else 4)
    if (size := int.from_bytes(length, "little")) > MAX_HEADER:
        raise ValueError(f"a header of {size} bytes")
    header = io.BytesIO(length + stream.read(size))
    # The files of a pool are opened by several threads, but Python 3.11 raises SystemError where
    # two of them build a syntax tree at the same time, as numpy does of a header (gh-106905).
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of headers that Python 2 wrote
        shape, fortran, dtype = parsers[version](header)
    if fortran and len(shape) == 2 and min(shape) > 1:
        raise ValueError("columns first (Fortran order); save it with rows first")
    if dtype.hasobject:
        raise ValueError("Python objects, which are never unpickled")
    return shape, dtype


def _rows_of(stream: IO[bytes], dtype: np.dtype[Any], rows: int, dim: int) -> Vectors:
    """Read the next rows of a stream straight into an array, without a copy."""
    found: Vectors = np.empty((rows, dim), dtype)
    left = memoryview(found.reshape(-1).view(np.uint8).data)
    while len(left):
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the file ends in the middle of the vectors")
        left = left[count:]
    return found


class Npy(Reader):
    """``.npy``, as clip-retrieval's inference writes it."""

    kind = ".npy"

    def _open(self) -> None:
        with self.source.open() as stream:
            shape, self._dtype = _npy_header(stream)
            self._data = stream.tell()
        self._shape(shape, self._dtype)
        wanted = self._data + self.rows * self.dim * self.itemsize
        if self.source.size < wanted:
            raise EOFError(f"{self.source.size} bytes where its header promises {wanted}")

    def _read(self, start: int, stop: int, step: int) -> Iterator[Vectors]:
        with self.source.open() as stream:
            stream.seek(self._data + start * self.dim * self.itemsize)
            for first in range(start, stop, step):
                yield _rows_of(stream, self._dtype, min(step, stop - first), self.dim)

    def _take(self, rows: NDArray[np.int64]) -> Vectors:
        # Rows that stand together are read together.
        runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        with self.source.open() as stream:
            found = []
            for run in runs:
                stream.seek(self._data + int(run[0]) * self.dim * self.itemsize)
                found.append(_rows_of(stream, self._dtype, len(run), self.dim))
            return np.concatenate(found)


class Npz(Reader):
    """``.npz``, as DataComp distributes its vectors."""

    kind = ".npz"

    def _open(self) -> None:
        with self.source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            self._name = self._choose(names, "array") + ".npy"
            with archive.open(self._name) as member:
                shape, self._dtype = _npy_header(member)
                data = member.tell()
            there = archive.getinfo(self._name).file_size - data
        self._shape(shape, self._dtype)
        if there < (wanted := self.rows * self.dim * self.itemsize):
            raise EOFError(f"{there} bytes where its header promises {wanted}")

    def _read(self, start: int, stop: int, step: int) -> Iterator[Vectors]:
        with (
            self.source.open() as stream,
            zipfile.ZipFile(stream) as archive,
            archive.open(self._name) as member,
        ):
            _npy_header(member)
            for first in range(0, start, step):  # a compressed member cannot be entered half way
                _rows_of(member, self._dtype, min(step, start - first), self.dim)
            for first in range(start, stop, step):
                yield _rows_of(member, self._dtype, min(step, stop - first), self.dim)


class Parquet(Reader):
    """``.parquet`` with a column of lists of floats."""

    kind = ".parquet"

    def _open(self) -> None:
        with self.source.open() as stream:
            file = pq.ParquetFile(stream)
            schema = file.schema_arrow
            lists = [field.name for field in schema if _is_vectors(field.type)]
            self._column = self._choose(lists, "column of vectors")
            rows = file.metadata.num_rows
            first = next(file.iter_batches(1, columns=[self._column]), None) if rows else None
        if first is not None and first[self._column].null_count:
            raise ValueError(f"no vector in the first row of {self._column!r}")
        dim = len(first[self._column][0]) if first is not None else 0
        dtype = schema.field(self._column).type.value_type.to_pandas_dtype()
        self._shape((rows, dim), np.dtype(dtype))

    def _read(self, start: int, stop: int, step: int) -> Iterator[Vectors]:
        with self.source.open() as stream:
            file = pq.ParquetFile(stream)
            row = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if start < row + rows and row < stop:
                    batches = file.iter_batches(step, row_groups=[group], columns=[self._column])
                    yield from self._clip(batches, row, start, stop)
                row += rows

    def _clip(
        self, batches: Iterator[pa.RecordBatch], row: int, start: int, stop: int
    ) -> Iterator[Vectors]:
        """Yield the vectors from ``start`` to ``stop`` of batches that begin at ``row``."""
        for batch in batches:
            first, last = max(start, row), min(stop, row + len(batch))
            part = batch.slice(max(0, start - row), max(0, last - first))
            row += len(batch)
            if not len(part):
                continue
            column = part[self._column]
            values = column.flatten().to_numpy(zero_copy_only=False)
            if column.null_count or len(values) != len(part) * self.dim:
                raise ValueError(f"vectors of other lengths than {self.dim} in {self._column!r}")
            yield values.reshape(len(part), self.dim)


def _is_vectors(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_list(kind) for is_list in lists) and pa.types.is_floating(kind.value_type)


class Hdf5(Reader):
    """``.h5``, as the SISAP challenge distributes LAION-2B."""

    kind = ".h5"

    def _open(self) -> None:
        with self.source.open() as stream, open_hdf5(stream, self.source) as file:
            self._name = self._choose(list(file), "dataset")
            data = file[self._name]
            self._shape(data.shape, data.dtype)

    def _read(self, start: int, stop: int, step: int) -> Iterator[Vectors]:
        with self.source.open() as stream, open_hdf5(stream, self.source) as file:
            for first in range(start, stop, step):
                yield file[self._name][first : min(first + step, stop)]

    def _take(self, rows: NDArray[np.int64]) -> Vectors:
        with self.source.open() as stream, open_hdf5(stream, self.source) as file:
            found: Vectors = file[self._name][rows]
            return found


READERS: dict[str, type[Reader]] = {
    ".npy": Npy,
    ".npz": Npz,
    ".parquet": Parquet,
    ".h5": Hdf5,
    ".hdf5": Hdf5,
}
"""The reader of each extension, in lower case."""
