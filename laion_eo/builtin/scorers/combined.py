"""Scorer ``combined``: several scores as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from laion_eo.builtin.score_values import known_of_images, values_of
from laion_eo.builtin.scorers.naming import ColumnName
from laion_eo.component import ComponentConfig, Context
from laion_eo.errors import ConfigError, RunError
from laion_eo.kinds import FitData, FittedScorer, ScoreBatch
from laion_eo.types import JSON


class Combined(FittedScorer):
    """Sum of named columns, each standardised: less its mean, by its standard deviation.

    Mean and deviation are those of the anchors' own scores by default. Those of the candidates
    depend on how many of them are right, so that the sum would mean something else in each pool.
    """

    name = "combined"
    summary = "sum of other scores, each standardised"
    columns = pa.schema([("combined", pa.float32())])
    scores_anchors = True

    class Config(ComponentConfig):
        """Options.

        Attributes:
            columns: The columns that are summed, of scorers before this one; at least two.
            standard: Whose mean and standard deviation: of the ``anchors`` or of the
                ``candidates``.
            column: What the new column is called.
        """

        columns: tuple[str, ...] = Field(min_length=2)
        standard: Literal["anchors", "candidates"] = "anchors"
        column: ColumnName = "combined"

        @model_validator(mode="after")
        def _each_once(self) -> Self:
            for name in self.columns:
                if self.columns.count(name) > 1:
                    raise ValueError(f"columns has {name!r} twice")
            return self

    config: Config

    def __init__(self, config: ComponentConfig, context: Context) -> None:
        super().__init__(config, context)
        self.columns = pa.schema([(self.config.column, pa.float32())])
        self._scales: dict[str, tuple[float, float]] = {}
        self._facts: dict[str, JSON] = {}

    def needs(self) -> tuple[str, ...]:
        """Return the columns that are summed."""
        return self.config.columns

    def needs_of_anchors(self) -> tuple[str, ...]:
        """Return the columns that the anchors must have."""
        return self.needs() if self.config.standard == "anchors" else ()

    def fit(self, data: FitData) -> None:
        """Take mean and standard deviation of each column.

        Raises:
            ConfigError: A column holds no numbers.
            RunError: Fewer than two anchors have a score.
        """
        by_anchors = self.config.standard == "anchors"
        self._scales, self._facts = {}, {"standard": self.config.standard}
        for name in self.config.columns:
            _check_numbers(name, data.table)
            if by_anchors:
                known = known_of_images(data.anchors, name)
            else:
                values = values_of(data.table, name)
                known = values[np.isfinite(values)]
            if by_anchors and len(known) < 2:
                raise RunError(
                    f"combined: {len(known)} anchors have a score {name!r} of their own, which is "
                    'too few to standardise with: set standard = "candidates".'
                )
            mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 0)
            self._scales[name] = mean, deviation
            self._facts[name] = {"mean": mean, "standard_deviation": deviation, "of": len(known)}

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the sum; null where a summand is. A column that is the same throughout adds 0."""
        total = sum(self._standardised(batch.table), np.zeros(batch.table.num_rows))
        values = pa.array(total, pa.float32(), from_pandas=True)  # NaN: null
        return pa.table([values], schema=self.columns)

    def _standardised(self, table: pa.Table) -> Iterator[NDArray[np.float64]]:
        for name, (mean, deviation) in self._scales.items():
            values = values_of(table, name)
            # Rounding alone is no deviation.
            varies = deviation > 1e-9 * max(abs(mean), 1.0)
            yield (values - mean) / deviation if varies else values * 0

    def facts(self) -> dict[str, JSON]:
        """Return mean and standard deviation of each column, and of how many they are."""
        return self._facts


def _check_numbers(name: str, table: pa.Table) -> None:
    kind = table.schema.field(name).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise ConfigError(f"combined: the column {name!r} holds {kind}, and no numbers to sum.")
