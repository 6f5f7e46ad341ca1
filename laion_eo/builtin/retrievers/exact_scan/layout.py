"""The parts of a pool: its files of vectors, in order, and the metadata of their rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.readers import READERS, Reader
from laion_eo.builtin.retrievers.exact_scan.scan import Piece
from laion_eo.builtin.retrievers.metadata import Metadata, ParquetMetadata, open_metadata
from laion_eo.builtin.retrievers.storage import Folder, Stored
from laion_eo.errors import DataError

OPEN_TOGETHER = 16
"""Files whose headers are read at the same time; a server is slow, but answers many at once."""
EXPECTED = (
    "expected img_emb/*.npy and metadata/*.parquet, as `laion-eo index` and clip-retrieval write "
    "them; or *.npz, *.parquet or *.h5 files with vectors"
)


@dataclass(frozen=True)
class Layout:
    """The files of a pool.

    Attributes:
        location: Path or URL of the pool.
        vectors: Files with vectors, in the order of the row indices.
        beside: The Parquet file with the metadata of each, in pools of such pairs.
        folder: The folder with the metadata otherwise, in any of clip-retrieval's formats.
    """

    location: str
    vectors: Sequence[Stored]
    beside: Sequence[Stored] = ()
    folder: Folder | None = None


def find_layout(location: str, metadata: str | None) -> Layout:
    """Find the files of a pool.

    Three kinds of folder are known: clip-retrieval's (``img_emb/*.npy``, ``metadata/``); DataComp's
    (pairs of ``X.npz`` and ``X.parquet``); and Parquet files that hold both vectors and metadata,
    or HDF5 files with metadata elsewhere.

    Args:
        location: Path or URL of the pool.
        metadata: Path or URL of a folder with the metadata, if that is elsewhere.

    Raises:
        DataError: The folder holds no vectors.
    """
    folder = Folder(location)
    elsewhere = Folder(metadata) if metadata else None
    if folder.has_folder("img_emb"):
        return Layout(location, folder.files("img_emb", [".npy"]), folder=elsewhere or folder)
    for suffixes in ([".npz"], [".h5", ".hdf5"], [".npy"], [".parquet"]):
        if files := folder.files("", suffixes):
            beside = () if elsewhere else _beside(folder, files)
            return Layout(location, files, beside, elsewhere)
    raise DataError(f"{location}: not a pool; {EXPECTED}.")


def _beside(folder: Folder, files: Sequence[Stored]) -> Sequence[Stored]:
    """Return the Parquet file of the same name for each file: for all of them, or for none."""
    parquet = {file.stem: file for file in folder.files("", [".parquet"])}
    found = [parquet[file.stem] for file in files if file.stem in parquet]
    if found and len(found) != len(files):
        single = next(file for file in files if file.stem not in parquet)
        raise DataError(f"{single}: no {single.stem}.parquet beside it, as the other files have.")
    return found


class Pool:
    """The rows of a pool.

    Args:
        layout: Its files.
        key: Name of the array, column or dataset with the vectors, if it is not a known one.

    Raises:
        DataError: A file is damaged, or vectors and metadata differ in their number of rows.
    """

    def __init__(self, layout: Layout, key: str | None) -> None:
        self._layout = layout
        opened = partial(_open, key=key)
        with ThreadPoolExecutor(OPEN_TOGETHER) as threads:
            self.readers = list(threads.map(opened, layout.vectors))
        lengths = [reader.rows for reader in self.readers]
        self.starts: NDArray[np.int64] = np.cumsum([0, *lengths], dtype=np.int64)
        self.metadata = self._describe()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    @property
    def bytes(self) -> int:
        """Bytes that one search reads."""
        return sum(file.size for file in self._layout.vectors)

    @property
    def itemsize(self) -> int:
        """Bytes per component of a vector in memory, at most."""
        return max((reader.itemsize for reader in self.readers), default=1)

    def files(self) -> list[Stored]:
        """Return every file of the pool."""
        return [*self._layout.vectors, *(self.metadata.files if self.metadata else ())]

    def files_of(self, start: int, stop: int) -> list[Stored]:
        """Return the files that hold the vectors of some rows."""
        bounds = zip(self.starts[:-1], self.starts[1:], self._layout.vectors, strict=True)
        return [file for first, last, file in bounds if first < stop and start < last]

    def _describe(self) -> Metadata | None:
        """Open the metadata, and check that they have as many rows as the vectors."""
        if self._layout.beside:
            found: Metadata = ParquetMetadata(self._layout.beside)
        elif self._layout.folder is not None and self.readers:
            found = open_metadata(self._layout.folder)
        else:
            return None
        if isinstance(found, ParquetMetadata) and len(found.files) == len(self.readers):
            for reader, file, rows in zip(self.readers, found.files, found.lengths, strict=True):
                if reader.rows != rows:
                    raise DataError(
                        f"{reader.source}: {reader.rows} vectors, but {file.name} has {rows} rows."
                    )
        if found.rows != self.rows:
            raise DataError(
                f"{self._layout.location}: {self.rows} vectors in {len(self.readers)} files, "
                f"but {found.rows} rows in {len(found.files)} files of metadata."
            )
        return found

    def check_dim(self, dim: int) -> None:
        """Raise DataError if a file's vectors are not of this dimension."""
        for reader in self.readers:
            if reader.rows and reader.dim != dim:
                raise DataError(
                    f"{reader.source}: vectors of dimension {reader.dim}, but the embedder's "
                    f"have {dim}; the pool was made with another model."
                )

    def pieces(self, start: int, stop: int, step: int) -> Iterator[Piece]:
        """Yield the rows ``start`` to ``stop``, at most ``step`` at a time, file by file.

        The pieces of a file are of nearly equal size: buffers fit all of them, and there is no
        small last one, of which a sample says little.
        """
        for reader, begins in zip(self.readers, self.starts[:-1].tolist(), strict=True):
            first, last = max(start - begins, 0), min(stop - begins, reader.rows)
            if first >= last:
                continue
            row, pieces = first, math.ceil((last - first) / step)
            for vectors in reader.read(first, last, math.ceil((last - first) / pieces)):
                yield Piece(vectors, begins + row, str(reader.source), row)
                row += len(vectors)

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the vectors of rows, as they are stored: (m, dim), any float.

        Args:
            ids: int64, (m,), row indices, in any order; at least one.

        Raises:
            DataError: There is no such row, or a file is damaged.
        """
        distinct, back = np.unique(ids, return_inverse=True)
        if distinct[0] < 0 or distinct[-1] >= self.rows:
            bad = distinct[0] if distinct[0] < 0 else distinct[-1]
            raise DataError(f"{self._layout.location}: no row {bad}; there are {self.rows}.")
        bounds = np.searchsorted(distinct, self.starts)
        parts = [
            reader.take(distinct[low:high] - begins)
            for reader, begins, low, high in zip(
                self.readers, self.starts[:-1], bounds[:-1], bounds[1:], strict=True
            )
            if low < high
        ]
        return np.concatenate(parts)[back.reshape(-1)]

    def files_with(self, ids: NDArray[np.int64]) -> list[Stored]:
        """Return the files that hold the vectors of these rows."""
        places = np.searchsorted(self.starts, ids, side="right") - 1
        files = self._layout.vectors
        return [files[place] for place in np.unique(places) if 0 <= place < len(files)]


def _open(file: Stored, key: str | None) -> Reader:
    return READERS[file.suffix](file, key)
