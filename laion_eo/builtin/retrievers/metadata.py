"""The metadata of a pool: url and caption of each row, in any of the forms that pools have them.

Row numbers are positions: of parquet or arrow files in the order of their names, or of the columns
of an HDF5 file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.storage import Folder, Stored, open_hdf5
from laion_eo.errors import DataError

NAMES = {"url": ("url", "URL"), "caption": ("caption", "TEXT", "text")}
EMPTY = pa.table({name: pa.array([], pa.string()) for name in NAMES})


def choose_columns(there: Sequence[str], source: object) -> dict[str, str]:
    """Return what a file calls url and caption.

    Raises:
        DataError: It has no such column.
    """
    chosen = {}
    for column, names in NAMES.items():
        found = next((name for name in names if name in there), None)
        if found is None:
            raise DataError(f"{source}: no column {column!r}; it has {', '.join(there)}.")
        chosen[column] = found
    return chosen


class Metadata(ABC):
    """Rows of url and caption.

    Attributes:
        rows: How many there are.
        files: The files behind them.
    """

    rows: int
    files: Sequence[Stored]

    @abstractmethod
    def _sorted(self, ids: NDArray[np.int64]) -> pa.Table:
        """Return the rows of ascending, distinct, valid row numbers."""

    def take(self, ids: NDArray[np.int64]) -> pa.Table:
        """Return ``url`` and ``caption`` (strings) of rows, in the order of ``ids``.

        The rows are fetched once each and in the order in which they are stored.

        Args:
            ids: int64, (m,).

        Raises:
            DataError: There is no such row, or a file is damaged.
        """
        if not len(ids):
            return EMPTY
        distinct, back = np.unique(ids, return_inverse=True)
        if distinct[0] < 0 or distinct[-1] >= self.rows:
            bad = distinct[0] if distinct[0] < 0 else distinct[-1]
            raise DataError(f"{self.files[0]}: row {bad} asked for, there are {self.rows}.")
        return self._sorted(distinct).take(back.reshape(-1))


class _Files(Metadata):
    """Files that follow each other."""

    def __init__(self, files: Sequence[Stored]) -> None:
        self.files = files
        self.lengths = [self._length(file) for file in files]
        self._starts = np.cumsum([0, *self.lengths], dtype=np.int64)
        self.rows = int(self._starts[-1])

    @abstractmethod
    def _length(self, file: Stored) -> int:
        """Return the rows of one file."""

    @abstractmethod
    def _table(self, file: Stored) -> pa.Table:
        """Return url and caption of one file."""

    def _sorted(self, ids: NDArray[np.int64]) -> pa.Table:
        bounds = np.searchsorted(ids, self._starts)
        tables = []
        for i, file in enumerate(self.files):
            rows = ids[bounds[i] : bounds[i + 1]] - self._starts[i]
            if len(rows):
                tables.append(self._table(file).take(rows))
        return pa.concat_tables(tables)


class ParquetMetadata(_Files):
    """``metadata/*.parquet``."""

    def _length(self, file: Stored) -> int:
        try:
            with file.open() as stream:
                return int(pq.read_metadata(stream).num_rows)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: not a whole parquet file: {error}") from None

    def _table(self, file: Stored) -> pa.Table:
        try:
            with file.open() as stream:
                reader = pq.ParquetFile(stream)
                chosen = choose_columns(reader.schema_arrow.names, file)
                table = reader.read(columns=list(chosen.values()))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: damaged parquet file: {error}") from None
        return _named(table, chosen)


class ArrowMetadata(_Files):
    """``metadata/**/*.arrow``."""

    def _length(self, file: Stored) -> int:
        return int(self._read(file).num_rows)

    def _read(self, file: Stored) -> pa.Table:
        try:
            with file.open() as stream:
                return pa.ipc.open_file(pa.PythonFile(stream, mode="r")).read_all()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: not a whole arrow file: {error}") from None

    def _table(self, file: Stored) -> pa.Table:
        table = self._read(file)
        return _named(table, choose_columns(table.column_names, file))


class Hdf5Metadata(Metadata):
    """``metadata.hdf5`` with a group ``dataset``, or its reordered form.

    Args:
        file: The HDF5 file.
        places: Where the rows are in the file, if they are not in the order of their numbers.
    """

    def __init__(self, file: Stored, places: NDArray[np.int64] | None = None) -> None:
        self.files = [file]
        self._places = places
        with file.open() as stream, open_hdf5(stream, file) as hdf5:
            if "dataset" not in hdf5:
                raise DataError(f"{file}: no group 'dataset'; it has {', '.join(hdf5)}.")
            self._columns = choose_columns(list(hdf5["dataset"]), file)
            lengths = {len(hdf5["dataset"][column]) for column in self._columns.values()}
        if len(lengths) > 1 or (places is not None and len(places) != max(lengths)):
            raise DataError(f"{file}: its columns and their order differ in length.")
        self.rows = lengths.pop()

    def _sorted(self, ids: NDArray[np.int64]) -> pa.Table:
        places = ids if self._places is None else np.asarray(self._places[ids])
        order = np.argsort(places)
        back = np.argsort(order)
        if places[order[0]] < 0 or places[order[-1]] >= self.rows:
            raise DataError(f"{self.files[0]}: its order names rows that it does not have.")
        try:
            with self.files[0].open() as stream, open_hdf5(stream, self.files[0]) as hdf5:
                group = hdf5["dataset"]
                columns = {
                    name: pa.array(_texts(group[column], places[order]), pa.string())
                    for name, column in self._columns.items()
                }
        except OSError as error:
            raise DataError(f"{self.files[0]}: damaged HDF5 file: {error}") from None
        return pa.table(columns).take(back)


HDF5_RUN = 65_536
"""Rows of a compressed column that are read together; h5py is slow to pick rows one by one."""


def _texts(column: object, places: NDArray[np.int64]) -> list[str]:
    """Read ascending places of a column of byte strings."""
    found: list[str] = []
    runs = places // HDF5_RUN
    for run in np.unique(runs):
        start = int(run) * HDF5_RUN
        rows = column[start : start + HDF5_RUN]  # type: ignore[index]
        found += [rows[place - start].decode("utf-8", "replace") for place in places[runs == run]]
    return found


def _named(table: pa.Table, chosen: dict[str, str]) -> pa.Table:
    return pa.table({name: table[column].cast(pa.string()) for name, column in chosen.items()})


def open_metadata(folder: Folder) -> Metadata:
    """Open the metadata of a clip-retrieval index folder, whichever form it has.

    Raises:
        DataError: There is none, or it is damaged.
    """
    if (reordered := folder.file("metadata_reordered.hdf5")) is not None:
        mapping = folder.file("ivf_old_to_new_mapping.npy")
        if mapping is None:
            raise DataError(f"{reordered}: ivf_old_to_new_mapping.npy is not beside it.")
        with mapping.open() as stream:  # raw int64, in spite of its name
            content = stream.read()
        if len(content) % 8:
            raise DataError(f"{mapping}: cut short: {len(content)} bytes are no int64 numbers.")
        return Hdf5Metadata(reordered, np.frombuffer(content, np.int64))
    if parquet := folder.files("metadata", [".parquet"]):
        return ParquetMetadata(parquet)
    if arrow := folder.files("metadata", [".arrow"], deep=True):
        return ArrowMetadata(arrow)
    if (hdf5 := folder.file("metadata.hdf5")) is not None:
        return Hdf5Metadata(hdf5)
    raise DataError(
        f"{folder.place}: no metadata; expected metadata/*.parquet, metadata/**/*.arrow, "
        "metadata.hdf5 or metadata_reordered.hdf5."
    )
