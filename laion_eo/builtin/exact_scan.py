"""Retriever ``exact-scan``: one pass over all vectors of a pool, all anchors at once.

The pool has the layout of clip-retrieval: ``img_emb/*.npy``, (rows, dim) each, and
``metadata/*.parquet`` with the same rows in the same order of sorted file names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.topk import RunningTopK
from laion_eo.config import RunPath
from laion_eo.errors import DataError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import PoolSize, Retriever, RetrieverConfig
from laion_eo.types import JSON, Embeddings, Neighbors

URL_NAMES = ("url", "URL")
CAPTION_NAMES = ("caption", "TEXT", "text")
UNIT_TOLERANCE = 2e-2
"""Float16 vectors are off by less than 1e-3; anything past this was never normalised."""


class ExactScan(Retriever):
    """Exact cosine of every anchor with every row; ties go to the lower row number.

    Scores are summed in float64 and rounded once, so that they do not depend on the size of blocks.
    """

    name = "exact-scan"
    summary = "exact search over the vectors of a clip-retrieval folder"

    class Config(RetrieverConfig):
        """Options.

        Attributes:
            pool: Folder with ``img_emb/`` and ``metadata/``.
            block_rows: Rows compared at a time: 8 bytes of memory for each and each anchor.
        """

        pool: RunPath
        block_rows: int = Field(default=4096, ge=1)

    config: Config

    @cached_property
    def _shards(self) -> list[tuple[Path, Path]]:
        """The (vectors, metadata) files, in the order of the row numbers."""
        pool = self.config.pool
        vectors = sorted((pool / "img_emb").glob("*.npy"))
        metadata = sorted((pool / "metadata").glob("*.parquet"))
        if not (pool / "img_emb").is_dir() or not (pool / "metadata").is_dir():
            raise DataError(
                f"{pool}: not a pool; expected img_emb/*.npy and metadata/*.parquet, "
                "as `laion-eo index` and clip-retrieval write them."
            )
        if len(vectors) != len(metadata):
            raise DataError(
                f"{pool}: {len(vectors)} files in img_emb but {len(metadata)} in metadata."
            )
        return list(zip(vectors, metadata, strict=True))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row number of each shard, and the number of all rows at the end."""
        rows = [0]
        for vectors, metadata in self._shards:
            there, described = len(_open(vectors)), pq.read_metadata(metadata).num_rows
            if there != described:
                raise DataError(
                    f"{vectors}: {there} vectors, but {metadata.name} has {described} rows."
                )
            rows.append(there)
        return np.cumsum(rows, dtype=np.int64)

    def identity(self) -> JSON:
        """Return the files' names, sizes and times."""
        return files_identity(path for shard in self._shards for path in shard)

    def pool_size(self) -> PoolSize:
        """Return the rows of the pool and the bytes of its vectors."""
        size = sum(vectors.stat().st_size for vectors, _ in self._shards)
        return PoolSize(int(self._starts[-1]), size)

    def before_re_laion(self) -> bool:
        """Tell whether the run file or the pool's ``index.json`` marks the pool so."""
        try:
            about = json.loads((self.config.pool / "index.json").read_text("utf-8"))
        except (OSError, ValueError):
            about = {}
        return super().before_re_laion() or bool(about.get("before_re_laion"))

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Find the k nearest rows of each query.

        Args:
            queries: float32, (n, dim), rows of length 1.
            k: Neighbours wanted.

        Raises:
            DataError: A shard is damaged, of another dimension, or has vectors that are NaN or not
                of length 1.
        """
        total = int(self._starts[-1])
        best = RunningTopK(len(queries), k)
        wide = queries.astype(np.float64)
        for start, block in self._blocks(queries.shape[1]):
            scores = (wide @ block.T).astype(np.float32)
            best.add(scores, start)
            self.context.progress(min(start + len(block), total), total)
        return best.result()

    def _blocks(self, dim: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield (first row number, checked float64 vectors)."""
        for (path, _), first in zip(self._shards, self._starts, strict=False):
            vectors = _open(path)
            if len(vectors) and vectors.shape[1] != dim:
                raise DataError(
                    f"{path}: vectors of dimension {vectors.shape[1]}, but the embedder's "
                    f"have {dim}; the pool was made with another model."
                )
            for start in range(0, len(vectors), self.config.block_rows):
                block = vectors[start : start + self.config.block_rows].astype(np.float64)
                _check_unit(path, start, block)
                yield int(first) + start, block

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Fetch the metadata of rows: ``url`` and ``caption``, in the order of ``ids``.

        Args:
            ids: int64, (m,), row numbers.
        """
        order = np.argsort(ids, kind="stable")
        bounds = np.searchsorted(ids[order], self._starts)
        tables = []
        for i, (_, path) in enumerate(self._shards):
            rows = ids[order][bounds[i] : bounds[i + 1]] - self._starts[i]
            if len(rows):
                tables.append(_read_metadata(path).take(rows))
        if not tables:
            return pa.table(
                {"url": pa.array([], pa.string()), "caption": pa.array([], pa.string())}
            )
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.concat_tables(tables).take(back)


def _open(path: Path) -> NDArray[np.floating]:
    """Memory-map a matrix of vectors."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a whole .npy file: {error}") from None
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise DataError(
            f"{path}: floats (rows, dim) expected, got {vectors.dtype} {vectors.shape}."
        )
    return vectors  # type: ignore[no-any-return]


def _check_unit(path: Path, start: int, block: NDArray[np.float64]) -> None:
    lengths = np.linalg.norm(block, axis=1)
    good = np.abs(lengths - 1.0) <= UNIT_TOLERANCE  # False for NaN too
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"{path}: the vector of row {start + row} has length {lengths[row]:.4g}, not 1; "
            "normalise the pool, or index it again."
        )


def _read_metadata(path: Path) -> pa.Table:
    """Read url and caption of a shard, whatever the columns are called."""
    there = pq.read_schema(path).names
    chosen = {}
    for column, names in (("url", URL_NAMES), ("caption", CAPTION_NAMES)):
        found = next((name for name in names if name in there), None)
        if found is None:
            raise DataError(f"{path}: no column {column!r}; it has {', '.join(there)}.")
        chosen[column] = found
    table = pq.read_table(path, columns=list(chosen.values()))
    return pa.table({name: table[found].cast(pa.string()) for name, found in chosen.items()})
