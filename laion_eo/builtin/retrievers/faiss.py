"""Retriever ``faiss``: an index folder of clip-retrieval, in any of its formats."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.retrievers import storage
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.exact_scan.readers import Npy
from laion_eo.builtin.retrievers.exact_scan.scan import unit_rows
from laion_eo.builtin.retrievers.metadata import Metadata, open_metadata
from laion_eo.builtin.retrievers.storage import Folder
from laion_eo.builtin.retrievers.vouching import Vouched
from laion_eo.component import require_packages
from laion_eo.config import RunPath
from laion_eo.errors import ConfigError, DataError
from laion_eo.kinds import PoolModel, PoolSize, Retriever, RetrieverConfig, no_neighbors
from laion_eo.types import JSON, Embeddings, Neighbors

BATCH = 256
"""Anchors that are searched together."""
KNOWN_ROWS = 32
"""Rows of the index that are searched for, and should be found."""
NEAR = 0.98
"""Least cosine of such a row to its nearest neighbour: itself, or a copy."""


class FaissIndex(Retriever):
    """Approximate search; its recall is measured where the vectors are in the folder, too.

    The index must be by inner product over vectors of length 1. The search is refused if the index
    and its metadata differ in their number of rows, or if rows of the index do not find themselves.
    """

    name = "faiss"
    summary = "approximate search in an index folder of clip-retrieval"

    class Config(RetrieverConfig):
        """Options.

        Attributes:
            index: Folder with ``image.index`` (a file, or a folder with ``populated.index``) and
                metadata in any of clip-retrieval's formats.
            modality: ``image`` or ``text``: ``image.index`` or ``text.index``.
            nprobe: Cells that are searched, in an IVF index; the index's own setting by default.
            ef_search: Width of the search, in an HNSW index or quantiser; likewise.
            recall_sample: Anchors for which recall@k against exact-scan is reported, if the vectors
                (``img_emb/``) are in the folder; 0 for none.
        """

        index: RunPath
        modality: str = Field(default="image", pattern="^(image|text)$")
        nprobe: int | None = Field(default=None, ge=1)
        ef_search: int | None = Field(default=None, ge=1)
        recall_sample: int = Field(default=64, ge=0)

    config: Config

    def __init__(self, config: Config, context: Any) -> None:
        super().__init__(config, context)
        self._recall: dict[str, JSON] = {}

    @cached_property
    def _vouched(self) -> Vouched:
        return Vouched(str(self.config.index))

    @property
    def _folder(self) -> Folder:
        return self._vouched.folder

    @cached_property
    def _metadata(self) -> Metadata:
        self._vouched.check_files(())
        return open_metadata(self._folder)

    @property
    def _file(self) -> Path:
        path = self.config.index / f"{self.config.modality}.index"
        path = path / "populated.index" if path.is_dir() else path
        if not path.is_file():
            raise DataError(f"{path}: there is no such index.")
        return path

    @cached_property
    def _index(self) -> Any:
        try:
            import faiss
        except ImportError:
            raise ConfigError('faiss: pip install "laion-eo[faiss]" first.') from None
        # Both keep the vectors on disk; the lists of a folder's index are in a file of their own.
        mapped = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
        flags = faiss.IO_FLAG_ONDISK_SAME_DIR if self._file.name == "populated.index" else mapped
        try:
            index = faiss.read_index(str(self._file), flags)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise DataError(f"{self._file}: incomplete, or not a faiss index: {reason}") from None
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise DataError(f"{self._file}: an index by inner product is needed.")
        self._set(faiss, index)
        return index

    def _set(self, faiss: Any, index: Any) -> None:
        settings = {"nprobe": self.config.nprobe, "efSearch": self.config.ef_search}
        for name, value in settings.items():
            if value is not None:
                try:
                    faiss.ParameterSpace().set_index_parameter(index, name, value)
                except RuntimeError:
                    raise ConfigError(f"{self._file}: the index has no parameter {name}.") from None

    def check(self) -> None:
        """Raise for the package and the files that are known to be missing, damaged or altered.

        Raises:
            ConfigError: faiss is not installed.
            DataError: There is no such index, or no metadata beside it, or the folder is not what
                its record says.
        """
        require_packages(self.name, ["faiss"], "laion-eo[faiss]")
        self._vouched.check()
        _ = self._file, self._metadata

    def pool_model(self) -> PoolModel:
        """Return the model that ``index.json`` names, and the dimension of vectors beside it."""
        headers = (Npy(file, None) for file in self._folder.files("img_emb", [".npy"]))
        return self._vouched.about.model_of(next((file.dim for file in headers if file.rows), None))

    def before_re_laion(self) -> bool:
        """Tell whether the run file or the folder's ``index.json`` marks the pool so."""
        return super().before_re_laion() or self._vouched.about.before_re_laion

    def identity(self) -> JSON:
        """Return a hash of the files' names, sizes and modification times."""
        return storage.identity(self._folder.files(deep=True))

    def pool_size(self) -> PoolSize:
        """Return the number of rows of the metadata and the bytes of the index."""
        files = (
            self._file.parent.glob("*") if self._file.name == "populated.index" else [self._file]
        )
        return PoolSize(self._metadata.rows, sum(file.stat().st_size for file in files))

    def facts(self) -> dict[str, JSON]:
        """Return whether a record vouches for the index, and recall@k on a sample of the anchors.

        The recall is against exact-scan.
        """
        path = self._file.relative_to(self.config.index).as_posix()
        return {"vouched": self._vouched.vouches_for(path), **self._recall}

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Find about the k nearest rows of each query.

        Args:
            queries: float32, (n, dim), rows of length 1.
            k: Neighbours wanted.

        Raises:
            DataError: Index and metadata do not match, or the index is of another dimension.
        """
        self._vouched.check()
        self._check(queries.shape[1])
        found = no_neighbors(len(queries), k)
        for start in range(0, len(queries), BATCH):
            part = slice(start, min(start + BATCH, len(queries)))
            scores, ids = self._index.search(np.ascontiguousarray(queries[part]), k)
            order = np.lexsort((ids, -scores, ids < 0), axis=1)  # missing ones last, ties by row
            found.ids[part] = np.take_along_axis(ids, order, axis=1)
            found.scores[part] = np.take_along_axis(scores, order, axis=1)
            self.context.progress(part.stop, len(queries))
        found.scores[found.ids < 0] = -np.inf
        if not np.isfinite(found.scores[found.ids >= 0]).all():
            raise DataError(f"{self._file}: vectors that are not finite; build the index again.")
        self._measure(queries, k, found)
        return found

    def _check(self, dim: int) -> None:
        index, file = self._index, self._file
        if index.d != dim:
            raise DataError(
                f"{file}: vectors of dimension {index.d}, but the embedder's have {dim}; the index "
                "was made with another model."
            )
        if index.ntotal != self._metadata.rows:
            raise DataError(
                f"{file}: {index.ntotal} vectors, but {self._metadata.rows} rows of metadata."
            )
        rows = np.unique(np.linspace(0, index.ntotal - 1, KNOWN_ROWS).astype(np.int64))
        rows = rows[: index.ntotal]
        known = self._reconstruct(rows)
        if known is None:
            return
        lengths = np.linalg.norm(known.astype(np.float64), axis=1, keepdims=True)
        if not (np.abs(lengths - 1) < 0.25).all():  # quantised vectors are not quite of length 1
            raise DataError(f"{file}: its vectors are not of length 1, but {lengths.max():.3g}.")
        scores, _ = index.search((known / lengths).astype(np.float32), 1)
        lost = int((scores < NEAR * lengths).sum())
        if lost > len(rows) // 4:
            raise DataError(
                f"{file}: {lost} of {len(rows)} of its own rows do not find themselves; raise "
                "nprobe or ef_search, or build the index again."
            )

    def _reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return stored vectors; ``None`` if the index cannot reconstruct them."""
        try:
            if hasattr(self._index, "make_direct_map"):
                self._index.make_direct_map()
            return np.stack([self._index.reconstruct(int(row)) for row in rows])
        except (RuntimeError, ValueError):
            return None

    def has_vectors(self) -> bool:
        """Tell whether the vectors are in the folder, too, or the index can reconstruct them."""
        if self._beside is not None:
            return True
        return self._index.ntotal > 0 and self._reconstruct(np.zeros(1, np.int64)) is not None

    def vectors(self, ids: NDArray[np.int64]) -> Embeddings:
        """Return the vectors of rows, scaled to length 1, in the order of ``ids``.

        They are those of ``img_emb/`` if it is in the folder; what a quantised index reconstructs
        is about them.

        Args:
            ids: int64, (m,), row indices.

        Returns:
            float32, (m, dim).

        Raises:
            DataError: There is no such row, a file is damaged, or the index reconstructs none.
        """
        if self._beside is not None:
            return self._beside.vectors(ids)
        if not len(ids):
            return np.zeros((0, self._index.d), np.float32)
        found = self._reconstruct(ids)
        if found is None:
            raise DataError(f"{self._file}: the index cannot reconstruct its vectors.")
        return unit_rows(found, str(self._file))

    @cached_property
    def _beside(self) -> ExactScan | None:
        """The vectors themselves, where the folder has them."""
        if self.config.modality != "image" or not self._folder.has_folder("img_emb"):
            return None
        config = ExactScan.Config.model_validate({"pool": str(self.config.index)})
        scan = ExactScan(config, self.context)
        scan.take_over(self._vouched)
        return scan

    def _measure(self, queries: Embeddings, k: int, found: Neighbors) -> None:
        """Compare a sample of the first search with the exact result, if the vectors are there."""
        sample = min(self.config.recall_sample, len(queries))
        if not sample or self._beside is None or self._recall:
            return
        chosen = np.linspace(0, len(queries) - 1, sample).astype(int)
        exact = self._beside.search(queries[chosen], k)
        pairs = zip(found.ids[chosen], exact.ids, strict=True)
        hits = sum(len(np.intersect1d(mine[mine >= 0], true[true >= 0])) for mine, true in pairs)
        recall = hits / max(1, int((exact.ids >= 0).sum()))
        self._recall = {"recall_at_k": round(recall, 4), "recall_sample": sample}

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Fetch the metadata of rows: ``url`` and ``caption``, in the order of ``ids``.

        Args:
            ids: int64, (m,), row indices.
        """
        self._vouched.check()
        return self._metadata.take(ids)
