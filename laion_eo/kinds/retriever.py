"""Kind ``retriever``: nearest neighbours in the pool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.component import Component, ComponentConfig
from laion_eo.types import Embeddings, Neighbors


class RetrieverConfig(ComponentConfig):
    """Options that every retriever has.

    Attributes:
        k: Neighbours asked for per anchor: 100 in ver-0, 1,000 in ver-1.
        before_re_laion: Whether the pool was made before Re-LAION took out what must not be had
            (LAION-400M, LAION-5B and what derives from them): the run then needs the downloader's
            ``allow_list``.
        no_allow_list_because: Why this run does without one; recorded with the run.
    """

    k: int = Field(default=1000, ge=1)
    before_re_laion: bool = False
    no_allow_list_because: str = ""


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How large a pool is: rows, and bytes to read for one search."""

    rows: int
    bytes: int


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
            ids: int64, (m,), row numbers that ``search`` returned, each once.

        Returns:
            m rows in the order of ``ids``, with at least ``url`` and ``caption`` (strings, null
            where the pool has none).
        """

    def pool_size(self) -> PoolSize | None:
        """Return the pool's size, if that is cheap to know."""
        return None

    def before_re_laion(self) -> bool:
        """Tell whether the pool is marked as made before Re-LAION, by the run file or by itself."""
        return self.config.before_re_laion

    def expected_columns(self) -> Sequence[str]:
        """Return the columns that ``lookup`` must give."""
        return ("url", "caption")
