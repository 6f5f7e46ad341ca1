"""Filter ``similarity-threshold``: what is too unlike the anchors or the prompt goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from laion_eo.builtin.filters.humps import two_humps
from laion_eo.builtin.score_values import known_of_images, values_of
from laion_eo.component import WARNINGS, ComponentConfig
from laion_eo.config import Model
from laion_eo.errors import ConfigError, RunError
from laion_eo.kinds import Filter, FitData
from laion_eo.types import JSON, Verdict

HARDLY_ANY = 0.01
"""A filter that drops a smaller share than this decides nothing, and is warned of."""
FEWEST = 100
"""Rows below which shares and humps say little."""
IMAGE, TEXT = "image_similarity", "text_similarity"


class ThresholdRule(Model):
    """How one column's threshold comes about; what is not given is as for the whole filter.

    Attributes:
        fit: ``sigma`` or ``anchors``, as for the whole filter.
        sigma: Standard deviations below the mean.
        percentile: Of the anchors' own scores: 0..100.
        threshold: A frozen value instead of a fit.
    """

    fit: Literal["sigma", "anchors"] | None = None
    sigma: float | None = Field(default=None, allow_inf_nan=False)
    percentile: float | None = Field(default=None, ge=0, le=100)
    threshold: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("sigma", "percentile", "threshold") if self._has(name)]
        if len(given) > 1:
            raise ValueError(f"either {given[0]} or {given[1]} is wanted, and not both")
        other = {"sigma": "anchors", "percentile": "sigma"}
        if given and self.fit is not None and self.fit == other.get(given[0], self.fit):
            raise ValueError(f'{given[0]} is not for fit = "{self.fit}"')
        return self

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None


class SimilarityThreshold(Filter):
    """Drops images too unlike the anchors or the prompt (section 2.3, Figure 5).

    A threshold is fitted or frozen. ``fit = "sigma"``, the paper's: mean - sigma standard
    deviations of the rows that the filters before this one kept. That is right where nearly all
    candidates are, and drops next to nothing where most are wrong. ``fit = "anchors"`` does not
    depend on how many are right: a percentile of the anchors' own scores, each compared with the
    others and with the prompt, itself and near-duplicates left out. Texts among the anchors do not
    count. Frozen values, as ver-1 had those of ver-0, are of one model.

    A row that has no value in one of the columns is dropped.
    """

    name = "similarity-threshold"
    gives_way_to_labels = True
    summary = "drops images too unlike the anchors or the prompt"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            fit: ``sigma`` or ``anchors``: what thresholds are fitted to that are not frozen.
            sigma: Standard deviations below the mean; the paper's 1.5.
            percentile: The share of the anchors, in percent, that may be below: with 5, one anchor
                of 20 would not pass.
            image: Frozen threshold of ``image_similarity``; fitted if not given.
            text: Frozen threshold of ``text_similarity``; fitted if not given.
            columns: The columns that are judged, each with its own rule, in place of
                ``image_similarity`` and ``text_similarity``.
            model: The model that frozen values belong to, as an embedder names it; a run with
                another one is refused.
        """

        fit: Literal["sigma", "anchors"] = "sigma"
        sigma: float = Field(default=1.5, allow_inf_nan=False)
        percentile: float = Field(default=5.0, ge=0, le=100)
        image: float | None = Field(default=None, ge=-1, le=1)
        text: float | None = Field(default=None, ge=-1, le=1)
        columns: dict[str, ThresholdRule] = Field(default_factory=dict)
        model: str | None = None

        @model_validator(mode="after")
        def _one_meaning(self) -> Self:
            if self.columns and (self.image, self.text) != (None, None):
                raise ValueError("image and text are not for use with columns: freeze them there")
            frozen = (rule.threshold for rule in self.rules().values())
            if self.model is not None and all(value is None for value in frozen):
                raise ValueError("model says what frozen values belong to, and none is given")
            return self

        def rules(self) -> dict[str, ThresholdRule]:
            """Return the rule of each column that is judged."""
            frozen = {IMAGE: self.image, TEXT: self.text}
            return self.columns or {
                name: ThresholdRule(threshold=value) for name, value in frozen.items()
            }

    config: Config

    def is_frozen(self) -> bool:
        """Return whether every threshold is given."""
        return all(rule.threshold is not None for rule in self.config.rules().values())

    def needs(self) -> tuple[str, ...]:
        """Return the columns that are judged."""
        return tuple(self.config.rules())

    def needs_of_anchors(self) -> tuple[str, ...]:
        """Return the columns whose thresholds are fitted to the anchors."""
        return tuple(name for name, rule in self.config.rules().items() if self._by_anchors(rule))

    def _by_anchors(self, rule: ThresholdRule) -> bool:
        if rule.threshold is not None or rule.sigma is not None:
            return False
        return rule.percentile is not None or (rule.fit or self.config.fit) == "anchors"

    def check_columns(self, columns: pa.Schema) -> None:
        """Raise for a column that holds no numbers."""
        for name in self.config.rules():
            kind = columns.field(name).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise ConfigError(f"{self.name}: the column {name!r} holds {kind}, and no numbers.")

    def check_model(self, model_id: str) -> None:
        """Raise if the frozen values belong to another model."""
        if self.config.model not in (None, model_id):
            raise ConfigError(
                f"{self.name}: the frozen values belong to {self.config.model!r}, and the run's "
                f"model is {model_id!r}: fit them again, or leave them out."
            )

    def fit(self, data: FitData) -> None:
        """Fit the thresholds that are not frozen.

        Raises:
            RunError: One is to be fitted to the anchors, and none has a score.
        """
        self._facts: dict[str, JSON] = {}
        self._thresholds: dict[str, float] = {}
        for column, rule in self.config.rules().items():
            threshold, fact = self._fit_one(column, rule, data)
            self._thresholds[column], self._facts[column] = threshold, fact
        if warnings := list(self._warnings(data.table)):
            self._facts[WARNINGS] = warnings

    def _fit_one(
        self, column: str, rule: ThresholdRule, data: FitData
    ) -> tuple[float, dict[str, JSON]]:
        if rule.threshold is not None:
            model = {"model": self.config.model} if self.config.model else {}
            return rule.threshold, {"threshold": rule.threshold, "how": "frozen", **model}
        names = {"model": data.model.model_id, "weights_sha256": data.model.weights_sha256}
        model = {name: value for name, value in names.items() if value is not None}
        if self._by_anchors(rule):
            threshold, fact = self._of_anchors(column, rule, data)
            return threshold, {**fact, **model}
        values = data.table[column].to_numpy().astype(np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return -1.0, {"threshold": None, "how": "fitted on no rows"}
        sigma = self.config.sigma if rule.sigma is None else rule.sigma
        mean, deviation = float(values.mean()), float(values.std())
        threshold = mean - sigma * deviation
        spread = {"mean": mean, "standard_deviation": deviation, "sigma": sigma}
        rows = {"how": "fitted", "rows": len(values)}
        return threshold, {"threshold": threshold, **rows, **spread, **model}

    def _of_anchors(
        self, column: str, rule: ThresholdRule, data: FitData
    ) -> tuple[float, dict[str, JSON]]:
        own = known_of_images(data.anchors, column)
        if not len(own):
            raise RunError(
                f"{self.name}: no image among the anchors has a {column!r} of its own to fit to: "
                'choose fit = "sigma", or freeze a threshold.'
            )
        percentile = self.config.percentile if rule.percentile is None else rule.percentile
        threshold = float(np.percentile(own, percentile))
        fact = {"how": "fitted to the anchors", "anchors": len(own), "percentile": percentile}
        return threshold, {"threshold": threshold, **fact}

    def _warnings(self, table: pa.Table) -> Iterator[str]:
        """Yield what makes it likely that the thresholds are not where the domain ends."""
        if table.num_rows < FEWEST:
            return
        dropped = int((~self.keep(table).mask).sum())
        if dropped < HARDLY_ANY * table.num_rows:
            hint = "" if self.needs_of_anchors() else ' Is fit = "anchors" what you want?'
            yield (
                f"{self.name} dropped {dropped:,} of {table.num_rows:,} rows: unless nearly all "
                f"candidates are right, it decides nothing.{hint}"
            )
        for column, threshold in self._thresholds.items():
            values = values_of(table, column)
            sides = {"kept": values[values >= threshold], "dropped": values[values < threshold]}
            for side, some in sides.items():
                if (valley := two_humps(some)) is not None:
                    yield (
                        f"{self.name}: the scores {column!r} that are {side} have two humps, with "
                        f"a valley at {valley:.4f}: the threshold {threshold:.4f} may be on the "
                        "wrong side of one."
                    )

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge the columns."""
        mask = np.ones(batch.num_rows, dtype=bool)
        reasons = np.full(batch.num_rows, "", dtype=object)
        for column, threshold in self._thresholds.items():
            values = batch[column].to_numpy()
            self._tell(column, values, threshold, reasons)
            mask &= values >= threshold
        return Verdict(mask, reasons.tolist())

    def _tell(
        self,
        column: str,
        values: NDArray[np.floating],
        threshold: float,
        reasons: NDArray[np.object_],
    ) -> None:
        """Add to the reasons of rows why a column's threshold drops them."""
        for place in np.flatnonzero(~(values >= threshold)):
            joint = "; " if reasons[place] else ""
            why = f"{values[place]:.4f} < {threshold:.5f}"
            if np.isnan(values[place]):
                why = "has no value"
            reasons[place] += f"{joint}{column} {why}"

    def facts(self) -> dict[str, JSON]:
        """Return the thresholds, and how they came about."""
        return self._facts
