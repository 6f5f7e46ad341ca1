"""Kind ``scorer``: new columns computed from the images and what is known of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.component import Component, ComponentConfig
from laion_eo.config import Choice
from laion_eo.errors import RunError
from laion_eo.kinds.embedder import Embedder
from laion_eo.kinds.fitting import AnchorSet, FitData
from laion_eo.types import Embeddings, Picture


class ScorerConfig(ComponentConfig):
    """Options of a scorer that judges embeddings.

    Attributes:
        embedder: A model of the scorer's own, as a table ``[embedder]``: the pool is searched with
            the run's model, and the images are judged with this one. The run's by default.
    """

    embedder: Choice | None = None


@dataclass(frozen=True)
class ScoreBatch:
    """n candidates whose images were downloaded and decoded; or n anchors, to be scored likewise.

    Attributes:
        table: n rows: the columns of the candidates and of their downloads; null for anchors, but
            for ``source`` and ``view``. A fitted scorer finds the columns of ``needs``, too.
        image_embeddings: float32, (n, dim), as they are stored.
        anchor_embeddings: float32, (n, dim): the anchor that found each candidate; for an anchor,
            the nearest one that it may be compared with, NaN if there is none.
        anchors: All anchors of the run.
        embedder: The model that made the embeddings, set up.
        pictures: n uint8 RGB pictures, (height, width, 3) each; ``None`` unless the scorer says
            ``needs_images``.
        twins: bool, (n, m), for anchors: those of ``anchors`` that a row is not to be compared
            with. ``None`` for candidates.
    """

    table: pa.Table
    image_embeddings: Embeddings
    anchor_embeddings: Embeddings
    embedder: Embedder
    anchors: AnchorSet = field(default_factory=AnchorSet.none)
    pictures: Sequence[Picture] | None = None
    twins: NDArray[np.bool_] | None = None

    @property
    def images(self) -> Sequence[Picture]:
        """The pictures.

        Raises:
            RunError: The scorer does not say that it needs them.
        """
        if self.pictures is None:
            raise RunError("a scorer that looks at images must say so: needs_images = True")
        return self.pictures


class Scorer(Component):
    """Computes columns and never drops a row: thresholds are a filter's business.

    Attributes:
        needs_images: Whether it looks at the pictures themselves, which are then decoded for it. A
            scorer without works on the stored embeddings.
        scores_anchors: Whether ``score`` can score anchors like candidates, so that a filter can be
            fitted to what is usual among them. Not with ``needs_images``.
    """

    needs_images: ClassVar[bool] = False
    scores_anchors: ClassVar[bool] = False

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


class FittedScorer(Scorer):
    """A scorer that is fitted on all candidates and the anchors before it scores any.

    It comes after the others, in the order of the run file, and may need their columns.
    """

    def needs_of_anchors(self) -> tuple[str, ...]:
        """Return those of ``needs`` that the anchors must have, too, for ``fit``.

        A run whose scorers do not score anchors is refused before any work.
        """
        return ()

    @abstractmethod
    def fit(self, data: FitData) -> None:
        """See all rows once, before the first ``score``.

        Args:
            data: Every candidate with an image, with the columns of the scorers before.
        """
