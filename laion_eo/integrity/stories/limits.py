"""What a built-in filter compares one row's values with, and by how much they pass or fail."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from pydantic import JsonValue, ValidationError

from laion_eo.builtin.filters.bounds import Plain, as_time, is_number
from laion_eo.builtin.filters.column import ColumnFilter
from laion_eo.config import Choice
from laion_eo.integrity.stories.explanation import Limit, Rule

Wanted: TypeAlias = Plain | tuple[Plain, ...] | None
ROUNDED = {"halffloat": np.float16, "float": np.float32}
"""Arrow's types of columns that hold fewer digits than a bound is written with."""


def limits_of(
    choice: Choice, facts: Mapping[str, JsonValue], row: Mapping[str, object]
) -> tuple[Limit, ...]:
    """Return the thresholds of a built-in filter beside the values of a row.

    Args:
        choice: The filter, with its options.
        facts: What it recorded, if it ran.
        row: The values of the row.
    """
    if choice.use == ColumnFilter.name:
        return tuple(_of_column(choice, facts, row))
    thresholds: dict[str, object] = {}
    if choice.use == "min-size":
        width = choice.options.get("width")
        thresholds = {"width": width, "height": choice.options.get("height") or width}
    elif choice.use == "similarity-threshold":
        thresholds = {
            column: fact.get("threshold")
            for column, fact in facts.items()
            if isinstance(fact, dict)
        }
    found = (_least(column, threshold, row) for column, threshold in thresholds.items())
    return tuple(limit for limit in found if limit is not None)


def _least(column: str, threshold: object, row: Mapping[str, object]) -> Limit | None:
    if not isinstance(threshold, int | float):
        return None
    value = row.get(column)
    if not isinstance(value, int | float) or math.isnan(value):
        return Limit(column, None, threshold, None)
    margin = value - threshold
    return Limit(column, value, threshold, margin, passes=margin >= 0)


def _of_column(
    choice: Choice, facts: Mapping[str, JsonValue], row: Mapping[str, object]
) -> Iterator[Limit]:
    """Yield what the filter ``column`` compares a value with: each of its options."""
    try:
        options = ColumnFilter.Config.model_validate(choice.options)
    except ValidationError:  # of another version, or of a damaged run directory
        return
    found, kind = row.get(options.column), str(facts.get("type", ""))
    value = _value(found)
    rules: tuple[Rule, ...] = ("min", "max", "one_of", "not_one_of")
    given: dict[Rule, Wanted] = {rule: getattr(options, rule) for rule in rules}
    given = {rule: wanted for rule, wanted in given.items() if wanted is not None}
    if value is None or not given:
        passes = value is not None or options.nulls == "keep"
        for rule, wanted in (given or {"nulls": None}).items():
            yield Limit(options.column, value, wanted, None, rule, passes)
        return
    kind = "timestamp" if isinstance(found, datetime) else kind
    here = _compared(value, kind)
    for rule, wanted in given.items():
        if isinstance(wanted, tuple):
            inside = any(here == _compared(one, kind) for one in wanted)
            yield Limit(options.column, value, wanted, None, rule, inside == (rule == "one_of"))
        elif wanted is not None:
            there = _compared(wanted, kind)
            margin = _difference(here, there) if rule == "min" else _difference(there, here)
            passes = margin is None or margin >= 0
            yield Limit(options.column, value, wanted, margin, rule, passes)


def _value(value: object) -> Plain | None:
    """Return a row's value as a story has it; ``None`` for what the filter takes as null."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, bool | int | float | str) else None


def _compared(value: Plain, kind: str) -> Plain | datetime | None:
    """Return a value as the filter compares it in a column of a type."""
    if kind.startswith("timestamp"):
        return as_time(value)
    if kind not in ROUNDED or not is_number(value):
        return value
    with np.errstate(over="ignore"):  # of what a filter has judged, nothing is beyond its type
        return float(np.asarray(value, ROUNDED[kind]))


def _difference(value: object, other: object) -> float | None:
    """Return how far a value is above another; ``None`` if there is no order between them."""
    if isinstance(value, datetime) and isinstance(other, datetime):
        return (value - other).total_seconds()
    return value - other if is_number(value) and is_number(other) else None
