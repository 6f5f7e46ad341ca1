"""Values that a run file compares a column with, and which columns they can be compared with.

A bound is written as a number, a text, a boolean, or a time: TOML's own, or a text of ISO 8601. A
time without an offset is UTC. It is compared in the column's own type, so that a bound of 0.22 is
the float32 nearest to it where the column holds float32: a score that prints as 0.22 is no lower.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Annotated, TypeAlias, TypeGuard

import numpy as np
import pyarrow as pa
from pydantic import PlainValidator

from laion_eo.types import JSON

BITS = 64
"""Bits of the largest whole numbers that a column holds."""
LISTED = 5
"""Values of a list that a message repeats."""
LONGEST = 60
"""Characters of a text that a message repeats."""


def _bound(value: JSON) -> JSON:
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is wanted")
    if not isinstance(value, bool | int | float | str):
        raise ValueError("a number, a text, true, false or a time is wanted")
    if isinstance(value, int) and value.bit_length() > BITS:
        raise ValueError("no column holds a number of so many digits")
    return value


Bound = Annotated[bool | int | float | str, PlainValidator(_bound)]
"""A value of a run file; a time is its text of ISO 8601."""
Plain: TypeAlias = bool | int | float | str
"""What a bound is in Python."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a number: a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_time(value: Plain) -> datetime | None:
    """Return a bound as a time, UTC; ``None`` if it is none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_ordered(kind: pa.DataType) -> bool:
    """Tell whether a column's values have a least and a most: numbers and times."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_timestamp(kind))


def kind_of(kind: pa.DataType) -> str | None:
    """Return what a column holds, in words; ``None`` if it is nothing that a bound can be."""
    types = pa.types
    if types.is_integer(kind):
        return "whole numbers"
    if types.is_floating(kind):
        return "numbers"
    if types.is_boolean(kind):
        return "true and false"
    if types.is_timestamp(kind):
        return "times"
    return "texts" if types.is_string(kind) or types.is_large_string(kind) else None


def comparable(kind: pa.DataType) -> pa.DataType:
    """Return the type in which a column is compared: float32 for float16, else its own."""
    return pa.float32() if pa.types.is_float16(kind) else kind


def in_type(value: Plain, kind: pa.DataType) -> pa.Scalar:
    """Return a bound in the type in which a column is compared, rounded to the column's own.

    Args:
        value: The bound.
        kind: A type that :func:`kind_of` knows.

    Raises:
        ValueError: It is of another kind, or beyond what the type holds.
    """
    types, found = pa.types, _of_kind(value, kind)
    if found is None:
        raise ValueError(f"{shown(value)} is of another kind")
    try:
        if types.is_floating(kind):
            with np.errstate(over="ignore"):
                rounded = float(np.asarray(found, kind.to_pandas_dtype()))
            if math.isinf(rounded):
                raise OverflowError
            return pa.scalar(rounded, comparable(kind))
        scalar = pa.scalar(found, kind)
    except (pa.ArrowException, ArithmeticError, ValueError):
        raise ValueError(f"{shown(value)} is beyond what {kind} holds") from None
    if types.is_timestamp(kind) and scalar.as_py() != found:
        raise ValueError(f"{shown(value)} is finer than what {kind} holds")
    return scalar


def _of_kind(value: Plain, kind: pa.DataType) -> Plain | datetime | None:
    """Return a bound as the Python value that a column's type is made from; ``None`` if none is."""
    types = pa.types
    if types.is_timestamp(kind):
        time = as_time(value)
        return time if time is None or kind.tz else time.replace(tzinfo=None)
    if types.is_boolean(kind):
        return value if isinstance(value, bool) else None
    if types.is_floating(kind):
        return value if is_number(value) else None
    if types.is_integer(kind):
        return int(value) if is_number(value) and value == int(value) else None
    return value if isinstance(value, str) else None


def shown(value: object) -> str:
    """Return a value for a message, in one line: a text is quoted and cut, a number as it is."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")


def listed(values: tuple[Plain, ...]) -> str:
    """Return some values for a message: the first few of many."""
    first = ", ".join(shown(value) for value in values[:LISTED])
    return first if len(values) <= LISTED else f"{first}, … ({len(values):,} in all)"
