"""Filter ``similarity-threshold``: what is too unlike the anchor or the prompt goes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.kinds import Filter, FitData
from laion_eo.types import JSON, Verdict


class SimilarityThreshold(Filter):
    """Drops images too unlike the anchor or the prompt (section 2.3, Figure 5).

    Thresholds are fitted at mean - sigma standard deviations of the rows that the filters before
    this one kept, or frozen at given values, as ver-1 did with those of ver-0.
    """

    name = "similarity-threshold"
    gives_way_to_labels = True
    summary = "drops images too unlike the anchor or the prompt"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            sigma: Standard deviations below the mean; the paper's 1.5.
            image: Frozen threshold of ``image_similarity``; fitted if not given.
            text: Frozen threshold of ``text_similarity``; fitted if not given.
        """

        sigma: float = Field(default=1.5, allow_inf_nan=False)
        image: float | None = Field(default=None, ge=-1, le=1)
        text: float | None = Field(default=None, ge=-1, le=1)

    config: Config

    @property
    def _frozen(self) -> dict[str, float | None]:
        """The columns, with the thresholds that are given."""
        return {"image_similarity": self.config.image, "text_similarity": self.config.text}

    def is_frozen(self) -> bool:
        """Return whether both thresholds are given."""
        return None not in self._frozen.values()

    def needs(self) -> tuple[str, ...]:
        """Return the similarities."""
        return tuple(self._frozen)

    def fit(self, data: FitData) -> None:
        """Fit the thresholds that are not frozen."""
        self._facts: dict[str, JSON] = {}
        self._thresholds: dict[str, float] = {}
        for column, frozen in self._frozen.items():
            values = data.table[column].to_numpy().astype(np.float64)
            self._thresholds[column] = self._fit_one(column, values, frozen)

    def _fit_one(self, column: str, values: NDArray[np.float64], frozen: float | None) -> float:
        if frozen is not None:
            self._facts[column] = {"threshold": frozen, "how": "frozen"}
            return frozen
        if not len(values):
            self._facts[column] = {"threshold": None, "how": "fitted on no rows"}
            return -1.0
        mean, deviation = float(values.mean()), float(values.std())
        threshold = mean - self.config.sigma * deviation
        spread = {"mean": mean, "standard_deviation": deviation, "sigma": self.config.sigma}
        rows = {"how": "fitted", "rows": len(values)}
        self._facts[column] = {"threshold": threshold, **rows, **spread}
        return threshold

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge ``image_similarity`` and ``text_similarity``."""
        mask = np.ones(batch.num_rows, dtype=bool)
        reasons = np.full(batch.num_rows, "", dtype=object)
        for column, threshold in self._thresholds.items():
            values = batch[column].to_numpy()
            for place in np.flatnonzero(values < threshold):
                joint = "; " if reasons[place] else ""
                reasons[place] += f"{joint}{column} {values[place]:.4f} < {threshold:.5f}"
            mask &= values >= threshold
        return Verdict(mask, reasons.tolist())

    def facts(self) -> dict[str, JSON]:
        """Return the thresholds, and how they came about."""
        return self._facts
