"""What is fitted once, on all rows of a run: the anchors, the rows, and where their vectors are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.kinds.retriever import PoolModel
from laion_eo.schema import ANCHORS
from laion_eo.types import Embeddings

NEAR = 0.98
"""Cosine from which two anchors are near-duplicates, which say nothing about each other."""

Vectors: TypeAlias = Callable[[pa.Table], Embeddings]
"""Reads the embeddings of rows with a downloaded image: float32, (n, dim), rows of length 1."""


@dataclass(frozen=True)
class AnchorSet:
    """All anchors of a run that have a vector: labelled positives that every run holds.

    Attributes:
        table: m rows: the columns of :data:`laion_eo.schema.ANCHORS` but ``embedding``, and where
            something is fitted, those of the scorers that score anchors, too.
        embeddings: float32, (m, dim), by the model that the images are judged with.
    """

    table: pa.Table
    embeddings: Embeddings

    @classmethod
    def none(cls) -> AnchorSet:
        """Return a set without anchors."""
        return cls(ANCHORS.empty_table().drop_columns(["embedding"]), np.zeros((0, 0), np.float32))

    @cached_property
    def is_text(self) -> NDArray[np.bool_]:
        """bool, (m,): the anchors that are texts, whose cosines are on another scale."""
        return np.asarray(self.table["text"].is_valid().to_numpy())

    def twins(self, rows: slice = slice(None)) -> NDArray[np.bool_]:
        """Return whom anchors are not to be compared with, to say what is usual among them.

        Themselves, the other views of the same sample, near-duplicates, and texts with images.

        Args:
            rows: Some of the anchors: n of m.

        Returns:
            bool, (n, m).
        """
        source, is_text = self.table["source"].to_numpy(), self.is_text
        near = self.embeddings[rows] @ self.embeddings.T >= NEAR
        same = source[rows, None] == source[None, :]
        others = is_text[rows, None] != is_text[None, :]
        twins: NDArray[np.bool_] = same | near | others
        return twins


def _no_vectors(rows: pa.Table) -> Embeddings:
    raise LookupError(f"no embeddings are stored of these {rows.num_rows} rows")


@dataclass(frozen=True)
class FitData:
    """All that a scorer or a filter is fitted on.

    Attributes:
        table: n rows with an image: every column that the run has of them so far.
        anchors: The anchors, with the scores that scorers gave them: each compared with the others
            alone, not with itself or with its near-duplicates.
        vectors: Reads the embeddings of some of the rows; what they need of memory is up to how
            many are asked for at a time.
        model: The model that made the embeddings.
    """

    table: pa.Table
    anchors: AnchorSet = field(default_factory=AnchorSet.none)
    vectors: Vectors = _no_vectors
    model: PoolModel = field(default_factory=PoolModel)
