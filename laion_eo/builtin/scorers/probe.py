"""Scorer ``probe``: what tells the anchors from candidates that are surely wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.score_values import known_of_images, values_of
from laion_eo.builtin.scorers.naming import ColumnName
from laion_eo.component import WARNINGS, ComponentConfig, Context, require_packages
from laion_eo.errors import RunError
from laion_eo.kinds import AnchorSet, FitData, FittedScorer, ScoreBatch, ScorerConfig
from laion_eo.types import JSON, Embeddings

FEWEST_NEGATIVES = 10
MOST = 5_000
"""Anchors, and rows that are surely wrong, that it learns from at most."""
TOGETHER = 1024


class Probe(FittedScorer):
    """Logistic regression on embeddings: the anchors against rows that are low in every score.

    Such rows are below a percentile of the anchors' own scores in each of the named columns. The
    score is the logarithm of the odds. An anchor is scored by a model that was fitted without it,
    without the other views of its sample and without its near-duplicates.

    Where fewer than ten rows are that low, or all anchors are near-duplicates, nothing can be
    learned: the score is 0 for all, and the facts say so.
    """

    name = "probe"
    summary = "logistic regression: the anchors against rows low in every score"
    columns = pa.schema([("probe", pa.float32())])
    scores_anchors = True

    class Config(ScorerConfig):
        """Options.

        Attributes:
            below: Columns of scorers before this one; rows low in all of them are taken as wrong.
            percentile: How low: below this percentile of the anchors' own scores. 0..100.
            strength: Inverse of the strength of the L2 penalty (scikit-learn's C).
            folds: Parts into which the anchors are divided to score them.
            column: What the new column is called.
        """

        below: tuple[str, ...] = Field(default=("text_similarity",), min_length=1)
        percentile: float = Field(default=5.0, ge=0, le=100)
        strength: float = Field(default=1.0, gt=0, allow_inf_nan=False)
        folds: int = Field(default=5, ge=2, le=50)
        column: ColumnName = "probe"

    config: Config

    def __init__(self, config: ComponentConfig, context: Context) -> None:
        super().__init__(config, context)
        self.columns = pa.schema([(self.config.column, pa.float32())])
        self._plane: _Plane | None = None
        self._own: dict[tuple[int, int], float] = {}
        self._bounds: dict[str, JSON] = {}
        self._facts: dict[str, JSON] = {}

    def check(self) -> None:
        """Raise if scikit-learn is not installed."""
        require_packages("probe", ["sklearn"], "laion-eo[learn]")

    def needs(self) -> tuple[str, ...]:
        """Return the columns that rows are to be low in."""
        return self.config.below

    def needs_of_anchors(self) -> tuple[str, ...]:
        """Return the columns that the anchors must have."""
        return self.config.below

    def fit(self, data: FitData) -> None:
        """Learn from the anchors and from the rows that are low in every score.

        Raises:
            RunError: No anchor has a score of a column.
        """
        draw = np.random.default_rng(self.context.seed)
        images = np.flatnonzero(~data.anchors.is_text)
        positives = np.sort(draw.permutation(images)[:MOST])
        low = self._low(data)
        chosen = np.sort(draw.permutation(low)[:MOST])
        self._facts = {"anchors": len(positives), "low_rows": len(low), "learned_from": len(chosen)}
        self._plane, self._own = None, {}
        groups = _groups(data.anchors, positives)
        if len(chosen) < FEWEST_NEGATIVES:
            lacking = f"{len(chosen)} rows are low in every score, of which nothing can be learned"
            self._facts[WARNINGS] = [f"probe: {lacking}: it is 0 for all"]
            return
        if len(np.unique(groups)) < 2:
            lacking = "the anchors are near-duplicates of one picture, of which nothing is learned"
            self._facts[WARNINGS] = [f"probe: {lacking}: it is 0 for all"]
            return
        wrong = data.vectors(data.table.take(pa.array(chosen)))
        right = data.anchors.embeddings
        self._plane = self._learn(right[positives], wrong)
        part = draw.permutation(groups.max() + 1)[groups] % self.config.folds
        for fold in np.unique(part):
            plane = self._learn(right[positives[part != fold]], wrong)
            held = positives[part == fold]
            keys = _keys(data.anchors.table, held)
            self._own |= zip(keys, plane.of(right[held]), strict=True)

    def _low(self, data: FitData) -> NDArray[np.int64]:
        """Return the rows that are surely wrong."""
        low = np.ones(data.table.num_rows, dtype=bool)
        bounds: dict[str, JSON] = {}
        for name in self.config.below:
            own = known_of_images(data.anchors, name)
            if not len(own):
                raise RunError(
                    f"probe: no anchor has a score {name!r} of its own: its scorer does not score "
                    "anchors, or the anchors are texts."
                )
            bounds[name] = bound = float(np.percentile(own, self.config.percentile))
            low &= values_of(data.table, name) < bound  # of NaN: false
        self._bounds = bounds
        return np.flatnonzero(low)

    def _learn(self, right: Embeddings, wrong: Embeddings) -> _Plane:
        from sklearn.linear_model import LogisticRegression

        truth = np.repeat([1, 0], [len(right), len(wrong)])
        model: Any = LogisticRegression(
            C=self.config.strength, class_weight="balanced", max_iter=1000
        )
        model.fit(np.concatenate([right, wrong]).astype(np.float64), truth)
        return _Plane(model.coef_[0], float(model.intercept_[0]))

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column; null for an anchor that could not be left out of the fit."""
        if self._plane is None:
            values = np.zeros(len(batch.image_embeddings))
        elif batch.twins is None:
            values = self._plane.of(batch.image_embeddings)
        else:
            keys = _keys(batch.table, np.arange(batch.table.num_rows))
            values = np.array([self._own.get(key, np.nan) for key in keys], dtype=np.float64)
        column = pa.array(values, pa.float32(), from_pandas=True)
        return pa.table([column], schema=self.columns)

    def facts(self) -> dict[str, JSON]:
        """Return what it learned from."""
        return {**self._facts, "low_is": self._bounds} if self._facts else {}


@dataclass(frozen=True)
class _Plane:
    weights: NDArray[np.float64]
    offset: float

    def of(self, vectors: Embeddings) -> NDArray[np.float64]:
        """Return the logarithm of the odds of n rows."""
        odds: NDArray[np.float64] = vectors.astype(np.float64) @ self.weights + self.offset
        return odds


def _keys(table: pa.Table, places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return what anchors are known by: their sample and the view of it."""
    rows = table.select(["source", "view"]).take(pa.array(places))
    return list(zip(rows["source"].to_pylist(), rows["view"].to_pylist(), strict=True))


def _groups(anchors: AnchorSet, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of each chosen anchor's group: what is not to be compared is of one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs: list[NDArray[np.int64]] = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(anchors.embeddings), TOGETHER):
        part = slice(start, start + TOGETHER)
        images = ~anchors.is_text[part, None] & ~anchors.is_text
        found = np.argwhere(anchors.twins(part) & images)
        found[:, 0] += start
        pairs.append(found)
    one, other = np.concatenate(pairs).T
    total = len(anchors.embeddings)
    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(total, total))
    _, groups = connected_components(graph, directed=False)
    _, of_chosen = np.unique(groups[chosen], return_inverse=True)
    numbers: NDArray[np.int64] = of_chosen.reshape(-1).astype(np.int64)
    return numbers
