"""Hits: pairs of a query and a row of the pool, as many of each query as there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from laion_eo.types import Embeddings, Neighbors

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Search: TypeAlias = Callable[[Embeddings, int], Neighbors]
"""Finds the k nearest rows of the pool for each query."""
VectorsOf: TypeAlias = Callable[[Integers], Embeddings]
"""Returns the vectors of rows of the pool: float32, (m, dim), rows of length 1."""


@dataclass(frozen=True)
class Hits:
    """h hits; those of one query stand together, the most similar first.

    Attributes:
        query: int64, (h,), the index of the query, ascending.
        ids: int64, (h,), row indices of the pool, each once for a query.
        scores: float32, (h,), cosines.
    """

    query: Integers
    ids: Integers
    scores: Floats

    @classmethod
    def merged(cls, parts: Sequence[Hits]) -> Hits:
        """Return the hits of several parts, by query, best first; ties stay in their order."""
        query = np.concatenate([np.zeros(0, np.int64), *(part.query for part in parts)])
        ids = np.concatenate([np.zeros(0, np.int64), *(part.ids for part in parts)])
        scores = np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)])
        order = np.lexsort((-scores, query))  # stable
        return cls(query[order], ids[order], scores[order])

    def ranks(self) -> Integers:
        """Return the place of each hit among those of its query, from 0: int64, (h,)."""
        ranks: Integers = np.arange(len(self.query)) - np.searchsorted(self.query, self.query)
        return ranks
