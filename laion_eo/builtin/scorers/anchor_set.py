"""Scorer ``anchor-set``: how near an image is to all anchors, not only to those that found it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.scorers.naming import ColumnName
from laion_eo.component import ComponentConfig, Context
from laion_eo.kinds import AnchorSet, FitData, FittedScorer, ScoreBatch, ScorerConfig
from laion_eo.types import JSON, Embeddings

TOGETHER = 1024
"""Rows that are compared with all anchors at a time: the bound on memory."""
SAMPLE = 10_000
"""Candidates whose mean stands for the pool's."""


class AnchorSetSimilarity(FittedScorer):
    """Cosine of an image to the anchors as a set.

    ``image-similarity`` compares an image with the anchor that found it, though another may be
    nearer. Texts among the anchors count only where there are no images: their cosines are on
    another scale. An anchor is compared with the others alone.
    """

    name = "anchor-set"
    summary = "similarity of the image to all anchors: the nearest, or their centroid"
    columns = pa.schema([("anchor_set", pa.float32())])
    scores_anchors = True

    class Config(ScorerConfig):
        """Options.

        Attributes:
            how: ``max`` is the cosine to the nearest anchor, ``top`` the mean of those to the
                ``top`` nearest, ``centroid`` the cosine to the mean of all anchors.
            top: How many anchors ``how = "top"`` takes; all where there are fewer.
            centred: Whether the mean of the candidates is subtracted first. It helps models whose
                embeddings are all alike, and hurts where most candidates are right.
            column: What the new column is called.
        """

        how: Literal["max", "top", "centroid"] = "max"
        top: int = Field(default=5, ge=1)
        centred: bool = False
        column: ColumnName = "anchor_set"

    config: Config

    def __init__(self, config: ComponentConfig, context: Context) -> None:
        super().__init__(config, context)
        self.columns = pa.schema([(self.config.column, pa.float32())])
        self._facts: dict[str, JSON] = {}
        self._mean: NDArray[np.float64] | None = None

    def fit(self, data: FitData) -> None:
        """Take the mean of the candidates, if it is to be subtracted."""
        self._mean = None
        self._facts = {"how": self.config.how, "anchors": int(_compared(data.anchors).sum())}
        if self.config.centred and data.table.num_rows:
            rows = data.table.num_rows
            draw = np.random.default_rng(self.context.seed)
            chosen = np.sort(draw.permutation(rows)[:SAMPLE])
            vectors = data.vectors(data.table.take(pa.array(chosen)))
            self._mean = vectors.mean(axis=0, dtype=np.float64)
            self._facts["mean_of_rows"] = len(chosen)

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column, -1..1; null where there is no anchor to compare with."""
        compared = _compared(batch.anchors)
        anchors = self._centre(batch.anchors.embeddings[compared])
        seen = self._centre(batch.image_embeddings)
        found = [np.zeros(0)]
        for start in range(0, len(seen), TOGETHER):
            part = slice(start, start + TOGETHER)
            twins = None if batch.twins is None else batch.twins[part][:, compared]
            found.append(self._score(seen[part], anchors, twins))
        values = pa.array(np.concatenate(found), pa.float32(), from_pandas=True)  # NaN: null
        return pa.table([values], schema=self.columns)

    def _centre(self, vectors: Embeddings) -> NDArray[np.float32]:
        return vectors if self._mean is None else _unit(vectors - self._mean)

    def _score(
        self, seen: Embeddings, anchors: Embeddings, twins: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the score of n rows, float64, NaN where there is nothing to compare with."""
        allowed = np.ones((len(seen), len(anchors)), bool) if twins is None else ~twins
        nobody = ~allowed.any(axis=1)
        if nobody.all():
            return np.full(len(seen), np.nan)
        if self.config.how == "centroid":
            centres = _unit(allowed.astype(np.float32) @ anchors)
            scores = np.einsum("nd,nd->n", seen, centres).astype(np.float64)
        else:
            cosines = np.where(allowed, seen @ anchors.T, -np.inf)
            most = 1 if self.config.how == "max" else min(self.config.top, len(anchors))
            nearest = -np.partition(-cosines, most - 1, axis=1)[:, :most].astype(np.float64)
            there = np.isfinite(nearest)
            total = np.where(there, nearest, 0).sum(axis=1)
            scores = total / np.maximum(there.sum(axis=1), 1)
        return np.where(nobody, np.nan, np.clip(scores, -1, 1))

    def facts(self) -> dict[str, JSON]:
        """Return how many anchors the images are compared with."""
        return self._facts


def _compared(anchors: AnchorSet) -> NDArray[np.bool_]:
    """Return which anchors count, bool, (m,): the images, or texts where there are none."""
    images = ~anchors.is_text
    return images if images.any() else np.ones(len(images), dtype=bool)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length, length, 1)).astype(np.float32)
