"""Retriever ``exact-scan``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.retrievers import storage
from laion_eo.builtin.retrievers.exact_scan.layout import Pool, find_layout
from laion_eo.builtin.retrievers.exact_scan.products import Device
from laion_eo.builtin.retrievers.exact_scan.scan import (
    Counts,
    Piece,
    Scanner,
    batches,
    unit,
    unit_rows,
)
from laion_eo.builtin.retrievers.exact_scan.topk import MAX_ROWS
from laion_eo.builtin.retrievers.metadata import EMPTY
from laion_eo.builtin.retrievers.storage import Location, Stored
from laion_eo.builtin.retrievers.vouching import Vouched
from laion_eo.component import require_packages
from laion_eo.errors import ConfigError, DataError
from laion_eo.kinds import (
    PoolModel,
    PoolSize,
    RetrieverConfig,
    ShardedRetriever,
    merge_neighbors,
    no_neighbors,
)
from laion_eo.types import JSON, Embeddings, Neighbors

PIECES_IN_MEMORY = 3
"""One that is compared, one that is ready, one that is being read."""


class ExactScan(ShardedRetriever):
    """Every row is compared with every anchor, or proven not to be among its neighbours.

    A score is the float32 nearest to the exact dot product of the vectors as they are stored; of
    equal scores the lower row index comes first. The result depends on nothing else.
    """

    name = "exact-scan"
    summary = "exact search over a folder of vectors (npy, npz, parquet, HDF5)"

    class Config(RetrieverConfig):
        """Options.

        Attributes:
            pool: Folder with ``img_emb/*.npy`` and ``metadata/``, or with ``*.npz``, ``*.parquet``
                or ``*.h5`` files; a path, or any URL that fsspec knows.
            metadata: Folder with the metadata, if it is not in the pool.
            key: Name of the array, column or dataset that holds the vectors, if it is unusual.
            normalize: Scale the vectors to length 1; without it, other lengths are an error.
            shard_rows: Rows of a shard: what a killed run repeats at most.
            memory_mb: Megabytes of vectors in memory at a time.
            device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is a device.
        """

        pool: Location
        metadata: Location | None = None
        key: str | None = None
        normalize: bool = False
        shard_rows: int = Field(default=1_000_000, ge=1)
        memory_mb: int = Field(default=1024, ge=1)
        device: Device = "auto"

    config: Config
    _given: Vouched | None = None

    @cached_property
    def _pool(self) -> Pool:
        self._check_files(())  # an incomplete pool is called so, whatever its files hold
        return Pool(find_layout(self.config.pool, self.config.metadata), self.config.key)

    @cached_property
    def _counts(self) -> Counts:
        return Counts()

    def identity(self) -> JSON:
        """Return a hash of the files' names, sizes and modification times."""
        return storage.identity(self._pool.files())

    def pool_size(self) -> PoolSize:
        """Return the number of rows of the pool and the bytes of its vectors."""
        return PoolSize(self._pool.rows, self._pool.bytes)

    @cached_property
    def _vouched(self) -> list[Vouched]:
        """The pool as its record has it, and the folder of the metadata if that is another."""
        elsewhere = [Vouched(self.config.metadata)] if self.config.metadata else []
        return [self._given or Vouched(self.config.pool), *elsewhere]

    def take_over(self, vouched: Vouched) -> None:
        """Take over what was compared of the same pool, before this retriever is used.

        Args:
            vouched: Its files are not read again to be compared.
        """
        self._given = vouched

    def check(self) -> None:
        """Compare the pool with its record, and open it: its files, their headers, its metadata.

        Raises:
            DataError: It is not a pool, or damaged or incomplete, or not what its record says, or
                needs a package that is not installed.
            ConfigError: ``device`` is ``cuda``, and torch is not installed.
        """
        if self.config.device == "cuda":
            require_packages(f"{self.name} on a GPU", ["torch"], "laion-eo[clip]")
        for vouched in self._vouched:
            vouched.check()
        _ = self._pool

    def pool_model(self) -> PoolModel:
        """Return the model that ``index.json`` names, and the dimension of the vectors."""
        dims = [reader.dim for reader in self._pool.readers if reader.rows]
        return self._vouched[0].about.model_of(dims[0] if dims else None)

    def before_re_laion(self) -> bool:
        """Tell whether the run file or the pool's ``index.json`` marks the pool so."""
        return super().before_re_laion() or self._vouched[0].about.before_re_laion

    def facts(self) -> dict[str, JSON]:
        """Return whether a record vouches for the pool, and the counts of a search.

        The counts have the share of pairs that was proven to be outside the top k.
        """
        vouched = self.config.metadata is None and self._vouched[0].vouched
        return {"vouched": vouched, **(self._counts.facts() if self._counts.pairs else {})}

    def take_counts(self) -> dict[str, int]:
        """Return the pairs counted since the last call, and reset the counts."""
        return self._counts.take()

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Add the pairs that a search of other shards counted."""
        self._counts.add(counts)

    def shards(self) -> int:
        """Return the number of shards; each has ``shard_rows`` rows, whatever the files."""
        return -(-self._pool.rows // self.config.shard_rows)

    def search_shard(
        self, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        """Find the k nearest rows of one shard.

        Args:
            queries: float32, (n, dim), rows of length 1.
            k: Neighbours wanted.
            shard: Its index.
            floor: float32, (n,): lower scores are of no interest.

        Raises:
            DataError: A file is damaged, of another dimension, or has vectors that are NaN or not
                of length 1.
            ConfigError: ``device`` is ``cuda`` and there is none.
        """
        self._pool.check_dim(queries.shape[1])
        if not len(queries):
            return no_neighbors(0, k)
        self._check_files(self._pool.files_of(*self._rows_of(shard)))
        parts = [
            self._search(queries[part], k, shard, floor[part]) for part in batches(len(queries), k)
        ]
        return Neighbors(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.ids for part in parts]),
        )

    def _search(
        self, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        best = no_neighbors(len(queries), k)
        try:
            scanner = Scanner(queries, k, self.config.device, self._counts)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"exact-scan: device {self.config.device!r}: {error}") from None
        try:
            for piece in self._pieces(shard, queries.shape[1]):
                found = scanner.scan(piece, np.maximum(floor, best.scores[:, -1]))
                best = merge_neighbors(best, found)
                self.context.progress(piece.first_id + len(piece.vectors), self._pool.rows)
        finally:
            scanner.close()
        return best

    def _rows_of(self, shard: int) -> tuple[int, int]:
        start = shard * self.config.shard_rows
        return start, min(start + self.config.shard_rows, self._pool.rows)

    def _check_files(self, files: Sequence[Stored]) -> None:
        """Compare files with their records, unless :meth:`check` did in this process."""
        for vouched in self._vouched:
            vouched.check_files(vouched.folder.paths_of(files))

    def _pieces(self, shard: int, dim: int) -> Iterator[Piece]:
        """Yield the pieces of a shard; while one is compared, the next one is read."""
        start, stop = self._rows_of(shard)
        itemsize = 4 if self.config.normalize else self._pool.itemsize
        each = (self.config.memory_mb << 20) // PIECES_IN_MEMORY // (itemsize * max(dim, 1))
        pieces = self._pool.pieces(start, stop, min(MAX_ROWS, max(1, each)))
        with ThreadPoolExecutor(1, "reader") as reader:
            ahead = reader.submit(next, pieces, None)
            while (piece := ahead.result()) is not None:
                ahead = reader.submit(next, pieces, None)
                yield unit(piece) if self.config.normalize else piece

    def has_vectors(self) -> bool:
        """Tell that it has them: they are what it searches."""
        return True

    def vectors(self, ids: NDArray[np.int64]) -> Embeddings:
        """Return the vectors of rows, scaled to length 1, in the order of ``ids``.

        Args:
            ids: int64, (m,), row indices.

        Returns:
            float32, (m, dim).

        Raises:
            DataError: There is no such row, a file is damaged, or a vector has no length.
        """
        if not len(ids):
            dims = [reader.dim for reader in self._pool.readers if reader.rows]
            return np.zeros((0, dims[0] if dims else 0), np.float32)
        self._check_files(self._pool.files_with(ids))
        return unit_rows(self._pool.vectors(ids), self.config.pool)

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Fetch the metadata of rows: ``url`` and ``caption``, in the order of ``ids``.

        Args:
            ids: int64, (m,), row indices.

        Raises:
            DataError: The pool has no metadata, or they are damaged.
        """
        if not len(ids):
            return EMPTY
        if self._pool.metadata is None:
            raise DataError(f"{self.config.pool}: no metadata; name its folder with `metadata`.")
        self._check_files(self._pool.metadata.files)
        return self._pool.metadata.take(ids)
