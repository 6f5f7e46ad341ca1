"""Every file of a pool against its record, and every count against every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.builtin.retrievers.pool_record import (
    DONE,
    FOLDERS,
    INDEX,
    MAX_BYTES,
    PoolRecord,
    decode,
)
from laion_eo.builtin.retrievers.vouching import fault_in
from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord
from laion_eo.files import WORKING
from laion_eo.pools.pool_folder import LOCK, PIECES, PoolFolder
from laion_eo.pools.shards import (
    METADATA,
    OLD_METADATA,
    SKIPPED,
    find_stem,
    read_shard_record,
    record_path,
    shard_path,
)

BLOCK = 1 << 16
"""Rows whose vectors are inspected together."""
TOLERANCE = 1e-2
"""A vector of length 1 is off by less than this once it is rounded to float16."""
SCHEMAS = {"metadata": (METADATA, OLD_METADATA), "skipped": (SKIPPED,)}


def pool_faults(pool: Path, *, thorough: bool) -> list[str]:
    """Return all that is wrong with a pool that ``laion-eo index`` made; nothing, if it is sound.

    Args:
        pool: Its folder.
        thorough: Hash all of a file above 64 MiB, too, instead of a sample of it.

    Returns:
        A line each, ``img_emb/img_emb_03.npy: its content has changed``, in the order of the paths
        below the pool. A pool for which nothing vouches has one: it says so.

    Raises:
        DataError: There is no such folder.
    """
    if not pool.is_dir():
        raise DataError(f"{pool}: no such folder.")
    if not (pool / INDEX).exists():
        return [f"{INDEX}: it is gone; nothing vouches for this pool"]
    if not (pool / INDEX).is_file():
        return [f"{INDEX}: it is no file"]
    try:
        with (pool / INDEX).open("rb") as stream:
            record = decode(stream.read(MAX_BYTES))
    except OSError as error:
        return [f"{INDEX}: it cannot be read: {error.strerror}"]
    except ValueError as error:
        return [f"{INDEX}: {error}"]
    if not isinstance(record, PoolRecord):
        return [f"{INDEX}: it names no files; nothing vouches for this pool"]
    return sorted({str(fault) for fault in _Checking(pool, record, thorough).faults()})


@dataclass(frozen=True)
class _Fault:
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class _Checking:
    """One inspection of a pool of ours.

    Attributes:
        pool: Its folder.
        record: What its ``index.json`` says.
        thorough: Whether large files are hashed whole.
    """

    pool: Path
    record: PoolRecord
    thorough: bool

    def faults(self) -> Iterator[_Fault]:
        """Yield the faults in no order."""
        if not self.record.complete:
            command = self.record.command(str(self.pool))
            yield _Fault(INDEX, f"incomplete: the indexing has not finished; {command}")
        if (self.pool / INDEX).is_symlink():
            yield _Fault(INDEX, "it is a link")
        there = set(PoolFolder(self.pool).paths())
        files = {file.path: file for file in self.record.files}
        stems = [stem for path in files if (stem := find_stem(path)) is not None]
        for file in files.values():
            if fault := fault_in(self.pool, file, thorough=self.thorough):
                yield _Fault(file.path, fault)
            elif what := self._inside(file):
                yield _Fault(file.path, what)
        yield from self._shards(stems, files, there)
        known = {INDEX, LOCK, *files, *map(record_path, stems)}
        for path in there - known:
            yield _Fault(path, _stray(path))

    def _shards(
        self, stems: list[str], files: dict[str, FileRecord], there: set[str]
    ) -> Iterator[_Fault]:
        """Yield what is wrong with the records of the shards, and with how they fit together."""
        # A copy of a pool may lack them all: they only serve to index again.
        recorded = any(path.startswith(f"{DONE}/") for path in there)
        for stem in stems:
            paths = [shard_path(folder, stem) for folder in FOLDERS]
            if missing := [path for path in paths if path not in files]:
                yield _Fault(missing[0], "it is not in the pool's record, but its shard is")
                continue
            vectors, metadata, _ = (files[path] for path in paths)
            if vectors.rows != metadata.rows:
                what = f"{vectors.rows} vectors, but {metadata.rows} rows of metadata"
                yield _Fault(vectors.path, what)
            path = record_path(stem)
            named = [files[name] for name in paths]
            if recorded and (fault := self._in_shard_record(path, named)):
                yield _Fault(path, fault)
        if stems and stems != [f"{n:0{len(str(len(stems) - 1))}d}" for n in range(len(stems))]:
            yield _Fault(INDEX, f"its shards are not numbered from 0: {', '.join(stems[:3])} ...")

    def _in_shard_record(self, path: str, files: list[FileRecord]) -> str | None:
        """Return what is wrong with the record of a shard."""
        if (self.pool / path).is_symlink():
            return "it is a link"
        if not (self.pool / path).is_file():
            return "it is gone"
        shard = read_shard_record(self.pool / path)
        if shard is None:
            return "it is damaged"
        return None if [*shard.files] == files else f"it is not what {INDEX} says"

    def _inside(self, file: FileRecord) -> str | None:
        """Return what is wrong inside a file that is what its record says."""
        folder = file.path.partition("/")[0]
        try:
            if folder == "img_emb":
                return self._in_vectors(file)
            if folder in SCHEMAS:
                return _in_table(self.pool / file.path, file, SCHEMAS[folder])
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            return f"damaged: {' '.join(str(error).split())}"
        return None

    def _in_vectors(self, file: FileRecord) -> str | None:
        vectors = np.load(self.pool / file.path, mmap_mode="r", allow_pickle=False)
        wanted = (file.rows, self.record.dim)
        if vectors.shape != wanted or vectors.dtype != np.float16:
            return f"float16 {wanted} in the record, but {vectors.dtype} {vectors.shape} in it"
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK].astype(np.float32)
            lengths = np.linalg.norm(block, axis=1)
            bad = np.flatnonzero(~(np.abs(lengths - 1) <= TOLERANCE))  # NaN is bad, too
            if len(bad):
                row, length = start + int(bad[0]), lengths[bad[0]]
                return f"the vector of row {row} has length {length:.4g}, not 1"
        return None


def _in_table(path: Path, file: FileRecord, schemas: Sequence[pa.Schema]) -> str | None:
    with pq.ParquetFile(path) as table:
        found = table.schema_arrow.remove_metadata()
        if not any(found.equals(schema) for schema in schemas):
            return f"the columns {', '.join(found.names)} instead of {schemas[0].names}"
        if table.metadata.num_rows != file.rows:
            return f"{file.rows} rows in the record, but {table.metadata.num_rows} in it"
    return None


def _stray(path: str) -> str:
    if path.endswith(WORKING):
        return "a temporary file that a killed process left"
    if path.startswith(f"{PIECES}/"):
        return "a piece of a shard that is not finished"
    return "it is not in the pool's record"
