"""Kind ``retriever``: nearest neighbours in the pool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from laion_eo.component import Component, ComponentConfig
from laion_eo.types import Embeddings, Neighbors

TIMES_K = 10
"""How many times k neighbours an anchor is asked for at most, unless ``max_k`` says."""
MOST_HOPS = 5
MOST_NEIGHBORS = 1_000_000
"""Neighbours of one anchor; more would not fit into memory for the paper's anchors."""


class RetrieverConfig(ComponentConfig):
    """Options that every retriever has.

    Attributes:
        k: Neighbours asked for per anchor: 100 in ver-0, 1,000 in ver-1.
        before_re_laion: Whether the pool was made before Re-LAION removed links to illegal content
            (LAION-400M, LAION-5B and what derives from them): the run then needs the downloader's
            ``allow_list``.
        no_allow_list_because: Why this run does without one; recorded with the run.
        hops: Rounds of searching. From the second on, what the round before found and the anchors
            accept is searched with; only a retriever that has the pool's vectors can do that.
        hop_queries: Rows that a later round searches with at most, the most similar ones first;
            near-duplicates count once.
        accept: What the anchors accept: this percentile of the cosine of each image anchor to the
            nearest other one, itself and near-duplicates left out. 0..100.
        drift: How far below that what a later round finds may be, in cosine to the anchors, as
            standard deviations of their own cosines. What is farther away is left out.
        hop_share: A later round adds nothing, and none follows, where a smaller share of what it
            found is near enough: 0..1.
        distinct: Cosine from which two neighbours of an anchor are near-duplicates, such as 0.98:
            the less similar one is left out, and another takes its place.
        until: An anchor gets another k neighbours as long as the anchors accept at least this share
            of its last k: 0..1.
        max_k: Neighbours asked for per anchor at most, with ``distinct`` or ``until``: 10 k by
            default.
    """

    k: int = Field(default=1000, ge=1, le=MOST_NEIGHBORS)
    before_re_laion: bool = False
    no_allow_list_because: str = ""
    hops: int = Field(default=1, ge=1, le=MOST_HOPS)
    hop_queries: int = Field(default=2000, ge=1, le=MOST_NEIGHBORS)
    accept: float = Field(default=1.0, ge=0, le=100)
    drift: float = Field(default=1.5, ge=0, le=100)
    hop_share: float = Field(default=0.5, ge=0, le=1)
    distinct: float | None = Field(default=None, gt=0, le=1)
    until: float | None = Field(default=None, gt=0, le=1)
    max_k: int | None = Field(default=None, ge=1, le=MOST_NEIGHBORS)

    @model_validator(mode="after")
    def _at_least_k(self) -> Self:
        if self.max_k is not None and self.max_k < self.k:
            raise ValueError(f"max_k = {self.max_k} is less than k = {self.k}")
        return self

    def searches_again(self) -> bool:
        """Tell whether the options ask for more than one search with the anchors."""
        return self.hops > 1 or self.distinct is not None or self.until is not None

    def asked_at_most(self) -> int:
        """Return how many neighbours an anchor is asked for at most."""
        if self.distinct is None and self.until is None:
            return self.k
        return self.max_k or min(TIMES_K * self.k, MOST_NEIGHBORS)

    def most_hits(self, anchors: int) -> int:
        """Return how many hits a search with so many anchors has at most."""
        each = self.k if self.until is None else self.asked_at_most()
        return anchors * each + (self.hops - 1) * self.hop_queries * (self.k + 1)

    def needs_vectors(self) -> bool:
        """Tell whether the options ask for the vectors of the pool's rows."""
        return self.hops > 1 or self.distinct is not None


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How large a pool is: rows, and bytes to read for one search."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PoolModel:
    """What a pool says of the model that made its vectors; ``None`` where it says nothing.

    Attributes:
        model_id: Name of the model and its weights, as an embedder has it.
        dim: Length of the vectors.
        weights_sha256: Hash of the weights, as an embedder's facts have it.
    """

    model_id: str | None = None
    dim: int | None = None
    weights_sha256: str | None = None

    def __str__(self) -> str:
        name = "a model" if self.model_id is None else repr(self.model_id)
        return name if self.dim is None else f"{name} (dimension {self.dim})"


class Retriever(Component):
    """Finds the rows of a pool nearest to each anchor (section 2.2 of the paper)."""

    class Config(RetrieverConfig):
        """Options of the retriever."""

    config: RetrieverConfig

    @abstractmethod
    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Find the k nearest rows of each query.

        Args:
            queries: float32, (n, dim), rows of length 1.
            k: Neighbours wanted, at least 1.

        Returns:
            Scores descending along each row; -1 as the id where the pool has fewer than k rows.

        Raises:
            DataError: The pool is damaged, or of another dimension.
        """

    @abstractmethod
    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Fetch the metadata of rows.

        Args:
            ids: int64, (m,), row indices that ``search`` returned, each once.

        Returns:
            m rows in the order of ``ids``, with at least ``url`` and ``caption`` (strings, null
            where the pool has none). Strings may be what the pool has, UTF-8 or not: the run
            replaces what no table can hold, and counts it; see :mod:`laion_eo.texts`.
        """

    def has_vectors(self) -> bool:
        """Tell whether :meth:`vectors` can give the vectors of the pool's rows.

        Like :meth:`check`, it is asked before any work, and only by a run that needs them.
        """
        return False

    def vectors(self, ids: NDArray[np.int64]) -> Embeddings:
        """Return the vectors of rows; only asked for where :meth:`has_vectors` is true.

        Args:
            ids: int64, (m,), row indices that ``search`` returned, each once.

        Returns:
            float32, (m, dim), rows of length 1, in the order of ``ids``.

        Raises:
            DataError: The pool is damaged.
        """
        raise NotImplementedError(f"{self.name} has no vectors of {len(ids)} rows")

    def pool_size(self) -> PoolSize | None:
        """Return the pool's size, if that is cheap to know."""
        return None

    def pool_model(self) -> PoolModel:
        """Return what is cheap to know of the model that made the pool's vectors.

        A run with an embedder of another model or another dimension is refused before any work.
        """
        return PoolModel()

    def before_re_laion(self) -> bool:
        """Tell whether the pool is marked as made before Re-LAION, by the run file or by itself."""
        return self.config.before_re_laion


class ShardedRetriever(Retriever):
    """A retriever whose search can be cut into shards, to be done anywhere and in any order."""

    @abstractmethod
    def shards(self) -> int:
        """Return the number of shards. Row indices rise from shard to shard."""

    @abstractmethod
    def search_shard(
        self, queries: Embeddings, k: int, shard: int, floor: NDArray[np.float32]
    ) -> Neighbors:
        """Find the k nearest rows of each query within one shard.

        Args:
            queries: float32, (n, dim), rows of length 1.
            k: Neighbours wanted, at least 1.
            shard: 0 to ``shards() - 1``.
            floor: float32, (n,): lower scores may be left out, as that many better ones are known;
                -inf where nothing is known.

        Raises:
            DataError: The shard is damaged, or of another dimension.
        """

    def take_counts(self) -> dict[str, int]:
        """Return what the searches since the last call counted, and forget it.

        It travels with the neighbours, maybe from another process or an earlier session, to where
        :meth:`add_counts` gets it back before ``facts`` is asked.
        """
        return {}

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Add what :meth:`take_counts` returned, here or elsewhere; empty where no shard was."""

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Find the k nearest rows of each query: all shards, one after another."""
        best = no_neighbors(len(queries), k)
        for shard in range(self.shards()):
            found = self.search_shard(queries, k, shard, best.scores[:, -1])
            best = merge_neighbors(best, found)
        return best


def no_neighbors(queries: int, k: int) -> Neighbors:
    """Return the neighbours in an empty pool."""
    scores = np.full((queries, k), -np.inf, dtype=np.float32)
    return Neighbors(scores, np.full((queries, k), -1, dtype=np.int64))


def merge_neighbors(lower: Neighbors, higher: Neighbors) -> Neighbors:
    """Return the k best of two parts of a pool; equal scores go to the lower row index.

    Args:
        lower: (n, k), of the part with the lower row indices.
        higher: (n, k), of the other part.
    """
    if not (lower.ids >= 0).any():
        return higher
    k = lower.ids.shape[1]
    # Most rows of a late shard bring nothing, and the others little: only that is compared.
    some = np.flatnonzero((higher.ids >= 0).any(axis=1))
    width = int((higher.ids >= 0).sum(axis=1).max(initial=0))
    scores = np.concatenate([lower.scores[some], higher.scores[some, :width]], axis=1)
    ids = np.concatenate([lower.ids[some], higher.ids[some, :width]], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # stable: ties stay in row order
    best = Neighbors(lower.scores.copy(), lower.ids.copy())
    best.scores[some] = np.take_along_axis(scores, order, axis=1)
    best.ids[some] = np.take_along_axis(ids, order, axis=1)
    return best
