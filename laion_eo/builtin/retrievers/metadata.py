"""The metadata of a pool: the URL and caption of each row, in any of the formats that pools use.

A row index counts the rows of all Parquet or Arrow files, sorted by name, or those of an HDF5 file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.storage import (
    MAX_ROWS,
    Folder,
    Stored,
    open_hdf5,
    parse_errors,
    reason_of,
)
from laion_eo.columns import FieldName, require_column
from laion_eo.errors import DataError, LaionEOError
from laion_eo.texts import as_texts, raw_texts

SHA256 = "sha256"
FIELDS: tuple[FieldName, ...] = ("url", "caption")
EMPTY = pa.table({field: pa.array([], pa.large_string()) for field in FIELDS})


def choose_columns(names: Sequence[str], source: object) -> dict[str, str]:
    """Return which of a file's columns hold ``url`` and ``caption``.

    Raises:
        DataError: There is no such column.
    """
    return {field: require_column(field, names, source) for field in FIELDS}


class Metadata(ABC):
    """The URL and caption of each row of a pool.

    Attributes:
        rows: Number of rows.
        files: The files that hold them.
    """

    rows: int
    files: Sequence[Stored]

    @abstractmethod
    def _sorted(self, ids: NDArray[np.int64]) -> pa.Table:
        """Return the rows at ascending, distinct, valid row indices."""

    def take(self, ids: NDArray[np.int64]) -> pa.Table:
        """Return ``url`` and ``caption`` (strings) of rows, in the order of ``ids``.

        Each row is fetched once, in the order in which the rows are stored. Strings are as the pool
        has them, whether or not they are UTF-8: the stage ``candidates`` replaces what is not, and
        counts it.

        Args:
            ids: int64, (m,), row indices.

        Raises:
            DataError: There is no such row, or a file is damaged.
        """
        if not len(ids):
            return EMPTY
        distinct, back = np.unique(ids, return_inverse=True)
        if distinct[0] < 0 or distinct[-1] >= self.rows:
            bad = distinct[0] if distinct[0] < 0 else distinct[-1]
            raise DataError(f"{self.files[0]}: row {bad} requested, but there are {self.rows}.")
        return self._sorted(distinct).take(back.reshape(-1))


class _Files(Metadata):
    """Several files, one after another."""

    def __init__(self, files: Sequence[Stored]) -> None:
        self.files = files
        self.lengths = [self._length(file) for file in files]
        for file, length in zip(files, self.lengths, strict=True):
            if not 0 <= length <= MAX_ROWS:
                raise DataError(f"{file}: {length} rows.")
        self._starts = np.cumsum([0, *self.lengths], dtype=np.int64)
        self.rows = int(self._starts[-1])

    @abstractmethod
    def _length(self, file: Stored) -> int:
        """Return the number of rows of one file."""

    @abstractmethod
    def _table(self, file: Stored) -> pa.Table:
        """Return the URLs and captions of one file."""

    def _sorted(self, ids: NDArray[np.int64]) -> pa.Table:
        bounds = np.searchsorted(ids, self._starts)
        tables = []
        for i, file in enumerate(self.files):
            rows = ids[bounds[i] : bounds[i + 1]] - self._starts[i]
            if len(rows):
                table = self._table(file)
                if len(table) != self.lengths[i]:
                    raise DataError(
                        f"{file}: {len(table)} rows, not the {self.lengths[i]} it says."
                    )
                tables.append(table.take(rows))
        return pa.concat_tables(tables, promote_options="default")


class ParquetMetadata(_Files):
    """``metadata/*.parquet``."""

    def _length(self, file: Stored) -> int:
        with _reading(file, "incomplete, or not a Parquet file"), file.open() as stream:
            return int(pq.read_metadata(stream).num_rows)

    def _table(self, file: Stored) -> pa.Table:
        with _reading(file, "damaged Parquet file"), file.open() as stream:
            reader = pq.ParquetFile(stream)
            chosen = choose_columns(reader.schema_arrow.names, file)
            if pa.types.is_string(_type_of(SHA256, reader.schema_arrow)):
                chosen |= {SHA256: SHA256}  # of the images, as `laion-eo index` writes it
            return _named(reader.read(columns=list(chosen.values())), chosen, file)


def _type_of(name: str, schema: pa.Schema) -> pa.DataType:
    """Return the type of a column; null if there is none of that name, or two."""
    places = schema.get_all_field_indices(name)
    return schema.types[places[0]] if len(places) == 1 else pa.null()


class ArrowMetadata(_Files):
    """``metadata/**/*.arrow``."""

    def _length(self, file: Stored) -> int:
        return int(self._read(file).num_rows)

    def _read(self, file: Stored) -> pa.Table:
        with _reading(file, "incomplete, or not an Arrow file"), file.open() as stream:
            table = pa.ipc.open_file(pa.PythonFile(stream, mode="r")).read_all()
            for column in table.columns:  # its buffers are taken as they lie in the file
                for chunk in column.chunks:
                    _check_buffers(chunk)
            return table

    def _table(self, file: Stored) -> pa.Table:
        table = self._read(file)
        with _reading(file, "damaged Arrow file"):
            return _named(table, choose_columns(table.column_names, file), file)


class Hdf5Metadata(Metadata):
    """``metadata.hdf5`` with a group ``dataset``, or its reordered form.

    Args:
        file: The HDF5 file.
        positions: int64, (rows,): the position in the file of each row, by row index; ``None``
            where the file has them in order.
    """

    def __init__(self, file: Stored, positions: NDArray[np.int64] | None = None) -> None:
        self.files = [file]
        self._positions = positions
        damaged = _reading(file, "damaged HDF5 file")
        with damaged, file.open() as stream, open_hdf5(stream, file) as hdf5:
            if "dataset" not in hdf5:
                raise DataError(f"{file}: no group 'dataset'; it has {', '.join(hdf5)}.")
            self._columns = choose_columns(list(hdf5["dataset"]), file)
            lengths = {len(hdf5["dataset"][column]) for column in self._columns.values()}
        if len(lengths) > 1 or (positions is not None and len(positions) != max(lengths)):
            raise DataError(f"{file}: its columns and their order differ in length.")
        self.rows = lengths.pop()

    def _sorted(self, ids: NDArray[np.int64]) -> pa.Table:
        positions = ids if self._positions is None else np.asarray(self._positions[ids])
        order = np.argsort(positions)
        back = np.argsort(order)
        if positions[order[0]] < 0 or positions[order[-1]] >= self.rows:
            raise DataError(f"{self.files[0]}: its order names rows that it does not have.")
        file = self.files[0]
        damaged = _reading(file, "damaged HDF5 file")
        with damaged, file.open() as stream, open_hdf5(stream, file) as hdf5:
            group = hdf5["dataset"]
            columns = {
                name: raw_texts(_stored(group[column], positions[order]))
                for name, column in self._columns.items()
            }
        return pa.table(columns).take(back)


HDF5_RUN = 65_536
"""Rows of a compressed column that are read together; h5py is slow at picking single rows."""


def _stored(column: Any, positions: NDArray[np.int64]) -> list[bytes]:
    """Read the byte strings at ascending positions of a column."""
    found: list[bytes] = []
    runs = positions // HDF5_RUN
    for run in np.unique(runs):
        start = int(run) * HDF5_RUN
        rows = column[start : start + HDF5_RUN]
        here = positions[runs == run] - start
        found += [rows[position] for position in here]
    return found


def _named(table: pa.Table, chosen: dict[str, str], source: Stored) -> pa.Table:
    return pa.table({name: _strings(table, column, source) for name, column in chosen.items()})


def _strings(table: pa.Table, column: str, source: Stored) -> pa.ChunkedArray:
    """Return a column as texts.

    Raises:
        DataError: There are two of that name, or its values are no texts.
    """
    if table.column_names.count(column) != 1:
        raise DataError(f"{source}: two columns {column!r}; which one counts?")
    values = table[column]
    try:
        return as_texts(values)
    except pa.ArrowException:
        raise DataError(f"{source}: no texts in the column {column!r}: {values.type}.") from None


def _check_buffers(chunk: pa.Array) -> None:
    """Refuse offsets and indices that point elsewhere; strings may be no UTF-8.

    Raises:
        pyarrow.ArrowException: There are some.
    """
    if pa.types.is_dictionary(chunk.type):
        _check_buffers(chunk.dictionary)
        chunk.indices.validate(full=True)
        last = pc.max(chunk.indices).as_py()
        if last is not None and not 0 <= pc.min(chunk.indices).as_py() <= last < len(
            chunk.dictionary
        ):
            raise pa.ArrowInvalid("an index beyond its dictionary")
        return
    if pa.types.is_string(chunk.type):
        chunk = chunk.view(pa.binary())
    elif pa.types.is_large_string(chunk.type):
        chunk = chunk.view(pa.large_binary())
    chunk.validate(full=True)


@contextmanager
def _reading(file: Stored, fault: str) -> Iterator[None]:
    """Turn what a damaged file makes other libraries raise into one line that names it."""
    try:
        yield
    except LaionEOError:
        raise
    except parse_errors() as error:
        raise DataError(f"{file}: {fault}: {reason_of(error)}") from None


def open_metadata(folder: Folder) -> Metadata:
    """Open the metadata of a clip-retrieval index folder, whatever its format.

    Raises:
        DataError: There is none, or it is damaged.
    """
    if (reordered := folder.file("metadata_reordered.hdf5")) is not None:
        mapping = folder.file("ivf_old_to_new_mapping.npy")
        if mapping is None:
            raise DataError(f"{reordered}: ivf_old_to_new_mapping.npy is missing beside it.")
        with mapping.open() as stream:  # raw int64, in spite of its name
            content = stream.read()
        if len(content) % 8:
            raise DataError(f"{mapping}: truncated: {len(content)} bytes of 8-byte integers.")
        return Hdf5Metadata(reordered, np.frombuffer(content, np.int64))
    if parquet := folder.files("metadata", [".parquet"]):
        return ParquetMetadata(parquet)
    if arrow := folder.files("metadata", [".arrow"], deep=True):
        return ArrowMetadata(arrow)
    if (hdf5 := folder.file("metadata.hdf5")) is not None:
        return Hdf5Metadata(hdf5)
    raise DataError(
        f"{folder.location}: no metadata; expected metadata/*.parquet, metadata/**/*.arrow, "
        "metadata.hdf5 or metadata_reordered.hdf5."
    )
