"""Kind ``scorer``: new columns computed from the images and what is known of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.kinds.embedder import Embedder
from laion_eo.types import Embeddings, Picture


@dataclass(frozen=True)
class ScoreBatch:
    """n candidates whose images were downloaded and decoded.

    Attributes:
        table: n rows: the columns of the candidates and of their downloads.
        images: n uint8 RGB pictures, (height, width, 3) each.
        anchor_embeddings: float32, (n, dim): the anchor that found each candidate.
        embedder: The run's model, set up.
    """

    table: pa.Table
    images: Sequence[Picture]
    anchor_embeddings: Embeddings
    embedder: Embedder

    @cached_property
    def image_embeddings(self) -> Embeddings:
        """float32, (n, dim): the images, embedded once for all scorers."""
        return self.embedder.embed_images(self.images)


class Scorer(Component):
    """Computes columns and never drops a row: thresholds are a filter's business."""

    @property
    @abstractmethod
    def columns(self) -> pa.Schema:
        """The new columns; a class attribute, or a property where the options decide."""

    def needs(self) -> tuple[str, ...]:
        """Return the columns of ``batch.table`` that it reads; the options may decide.

        A run that does not have them is refused before any work.
        """
        return ()

    @abstractmethod
    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return n rows with exactly the columns of ``columns``."""
