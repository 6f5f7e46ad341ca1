"""Filter ``column``: a rule on one column, whoever made it."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from laion_eo.builtin.filters.bounds import (
    Bound,
    Plain,
    as_time,
    comparable,
    in_type,
    is_number,
    is_ordered,
    kind_of,
    listed,
    shown,
)
from laion_eo.component import ComponentConfig
from laion_eo.errors import ConfigError
from laion_eo.kinds import Filter, FitData
from laion_eo.types import JSON, Verdict


class ColumnFilter(Filter):
    """Keeps the rows whose value in one column a rule allows; several rules are several filters.

    The column is a stage's or a scorer's, and holds numbers, texts, booleans or times. English
    images that the prompt describes, as in the paper's Figure 6 (English, text > 0.22):

    ```toml
    [[filters]]
    use = "column"
    column = "lang"
    one_of = ["en"]

    [[filters]]
    use = "column"
    column = "text_similarity"
    min = 0.22
    ```

    These two go behind the others: `similarity-threshold` is fitted to what the filters before it
    kept.
    """

    name = "column"
    summary = "keeps rows whose value in any one column a rule allows"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            column: Its name.
            min: Least value that is kept: the value itself is kept, too. For numbers and times.
            max: Greatest value that is kept, likewise.
            one_of: The only values that are kept. Texts are compared as they are, upper and lower
                case apart.
            not_one_of: Values that are not kept.
            nulls: What happens to a row without a value, which no other option judges: ``drop`` or
                ``keep``. NaN is no value. ``nulls = "drop"`` alone is a rule, too.

        A time is one of TOML, or a text such as ``"2024-05-01T12:00:00Z"``; UTC without an offset.
        Numbers are compared in the column's own precision.
        """

        column: str = Field(min_length=1)
        min: Bound | None = None
        max: Bound | None = None
        one_of: tuple[Bound, ...] | None = Field(default=None, min_length=1)
        not_one_of: tuple[Bound, ...] | None = Field(default=None, min_length=1)
        nulls: Literal["keep", "drop"] = "drop"

        @model_validator(mode="after")
        def _a_rule(self) -> Self:
            rules = (self.min, self.max, self.one_of, self.not_one_of)
            only_nulls = self.nulls == "drop" and "nulls" in self.model_fields_set
            if all(rule is None for rule in rules) and not only_nulls:
                raise ValueError('no rule: give min, max, one_of, not_one_of or nulls = "drop"')
            least, most = _ordered("min", self.min), _ordered("max", self.max)
            if least is None or most is None:
                return self
            if isinstance(least, float | int) != isinstance(most, float | int):
                raise ValueError("min and max are a number and a time")
            if least > most:
                raise ValueError(f"min {shown(self.min)} is above max {shown(self.max)}")
            return self

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return the column."""
        return (self.config.column,)

    def check_columns(self, columns: pa.Schema) -> None:
        """Raise if the column's values are no such values as the rule's.

        Raises:
            ConfigError: They are of another type; or no value at all could pass.
        """
        _Rule(self.config, columns.field(self.config.column).type)

    def fit(self, data: FitData) -> None:
        """Count the rows without a value; nothing is fitted.

        Raises:
            ConfigError: The column is of another type than the rule's values.
        """
        table = data.table
        column = table[self.config.column]
        self._rule = _Rule(self.config, column.type)
        missing = pc.sum(pc.is_null(_comparable(column), nan_is_null=True)).as_py() or 0
        written = self.config.model_dump(mode="json", exclude_none=True)
        counts = {"rows": table.num_rows, "without_value": missing}
        self._facts: dict[str, JSON] = {**written, "type": str(column.type), **counts}

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge the column."""
        return self._rule.judge(batch[self.config.column])

    def facts(self) -> dict[str, JSON]:
        """Return the rule, the column's type, and how many rows had a value."""
        return self._facts


def _ordered(name: str, bound: Plain | None) -> JSON:
    """Return a bound of ``min`` or ``max`` as what it is compared as.

    Raises:
        ValueError: It is neither a number nor a time.
    """
    if bound is None or is_number(bound):
        return bound
    if (time := as_time(bound)) is None:
        raise ValueError(f"{name} {shown(bound)} is neither a number nor a time: use one_of")
    return time


class _Rule:
    """The rule in the type of its column.

    Args:
        options: The filter's.
        kind: Type of the column.

    Raises:
        ConfigError: It is not a type that the rule's values could be of; or nothing could pass.
    """

    def __init__(self, options: ColumnFilter.Config, kind: pa.DataType) -> None:
        self._options = options
        holds = kind_of(kind)
        if holds is None:
            raise self._error(f"holds {kind}, which is no number, text, boolean or time")
        bounds = (options.min, options.max)
        if not is_ordered(kind) and any(bound is not None for bound in bounds):
            raise self._error(f"holds {holds}, which have no min or max: use one_of")
        try:
            self._least, self._most = (
                None if bound is None else in_type(bound, kind) for bound in bounds
            )
            self._listed, self._excluded = (
                None if values is None else _array(values, kind)
                for values in (options.one_of, options.not_one_of)
            )
        except ValueError as error:
            raise self._error(f"holds {holds} ({kind}), and {error}") from None
        if self._listed is not None and not self.judge(pa.chunked_array([self._listed])).mask.any():
            raise self._error("could have none of one_of: the other options exclude them all")

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"column: {self._options.column!r} {what}.")

    def judge(self, column: pa.ChunkedArray) -> Verdict:
        """Judge values of the column; each reason is the first rule that fails."""
        options, name = self._options, self._options.column
        values = _comparable(column)
        reasons = np.full(len(values), "", dtype=object)
        missing = _mask(pc.is_null(values, nan_is_null=True))
        if options.nulls == "drop":
            reasons[missing] = f"{name} has no value"
        for fails, why in self._failures(values):
            failed = np.flatnonzero(_mask(fails) & ~missing & (reasons == ""))
            for place, value in zip(failed.tolist(), _shown(values, failed), strict=True):
                reasons[place] = f"{name} {value} {why}"
        return Verdict(np.asarray(reasons == "", dtype=bool), reasons.tolist())

    def _failures(self, values: pa.ChunkedArray) -> list[tuple[pa.ChunkedArray, str]]:
        """Return what each option fails, and in which words."""
        options = self._options
        found = []
        if self._least is not None and options.min is not None:
            found.append((pc.less(values, self._least), f"is below {shown(options.min)}"))
        if self._most is not None and options.max is not None:
            found.append((pc.greater(values, self._most), f"is above {shown(options.max)}"))
        if self._listed is not None and options.one_of is not None:
            allowed = pc.is_in(values, value_set=self._listed)
            found.append((pc.invert(allowed), f"is not one of {listed(options.one_of)}"))
        if self._excluded is not None and options.not_one_of is not None:
            excluded = pc.is_in(values, value_set=self._excluded)
            found.append((excluded, f"is one of {listed(options.not_one_of)}"))
        return found


def _array(values: tuple[Plain, ...], kind: pa.DataType) -> pa.Array:
    return pa.array([in_type(value, kind).as_py() for value in values], comparable(kind))


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = comparable(column.type)
    if kind == column.type:
        return column
    chunks = [chunk.to_numpy(zero_copy_only=False).astype(np.float32) for chunk in column.chunks]
    return pa.chunked_array([pa.array(chunk) for chunk in chunks], kind)


def _mask(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, fill_value=False).to_numpy(), dtype=bool)


def _shown(values: pa.ChunkedArray, places: NDArray[np.int64]) -> list[str]:
    """Return values for a message; of a float, the fewest digits that are no other float's."""
    chosen = values.take(pa.array(places))
    if pa.types.is_floating(values.type):
        return [str(value) for value in chosen.to_numpy()]
    return [shown(value) for value in chosen.to_pylist()]
