from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from laion_eo.builtin.filters.bounds import (
    Bound,
    Plain,
    as_time,
    comparable,
    in_type,
    kind_of,
    listed,
    shown,
)

UTC_TIMES = pa.timestamp("us", tz="UTC")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        (datetime(2024, 5, 1, 12, tzinfo=UTC), "2024-05-01T12:00:00+00:00"),
        (date(2024, 5, 1), "2024-05-01"),
        (0.22, 0.22),
        (256, 256),
        ("en", "en"),
        (True, True),
    ],
)
def test_what_a_run_file_can_say(written: object, bound: Plain) -> None:
    found = TypeAdapter(Bound).validate_python(written)
    assert found == bound
    assert type(found) is type(bound)  # true is no 1


@pytest.mark.parametrize("written", [float("nan"), float("inf"), None, [1], {"a": 1}, 1 << 64])
def test_what_is_no_bound(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Bound).validate_python(written)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00",
        "2024-05-01T14:00:00+02:00",
        NOON.astimezone(timezone(timedelta(hours=-9))).isoformat(),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert as_time(text) == NOON


@pytest.mark.parametrize("value", ["noon", "", 2024, True, "0001-01-01T00:00:00+14:00"])
def test_no_times(value: Plain) -> None:
    assert as_time(value) is None


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (0.22, pa.float64(), 0.22),
        (0.22, pa.float32(), float(np.float32(0.22))),
        (0.22, pa.float16(), float(np.float16(0.22))),
        (1, pa.float32(), 1.0),
        (256, pa.int32(), 256),
        (256.0, pa.int32(), 256),
        ((1 << 64) - 1, pa.uint64(), (1 << 64) - 1),
        ((1 << 53) + 1, pa.int64(), (1 << 53) + 1),
        ("en", pa.string(), "en"),
        ("en", pa.large_string(), "en"),
        (False, pa.bool_(), False),
        ("2024-05-01T12:00:00Z", UTC_TIMES, NOON),
        ("2024-05-01T14:00:00+02:00", pa.timestamp("s"), NOON.replace(tzinfo=None)),
    ],
)
def test_a_bound_in_the_type_of_its_column(value: Plain, kind: pa.DataType, wanted: object) -> None:
    scalar = in_type(value, kind)
    assert scalar.type == comparable(kind)
    assert scalar.as_py() == wanted


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("0.22", pa.float32(), "'0.22' is of another kind"),
        (True, pa.float32(), "true is of another kind"),
        (True, pa.int32(), "true is of another kind"),
        (2.5, pa.int32(), "2.5 is of another kind"),
        (1, pa.bool_(), "1 is of another kind"),
        (1, pa.string(), "1 is of another kind"),
        ("noon", UTC_TIMES, "'noon' is of another kind"),
        (20240501, UTC_TIMES, "20240501 is of another kind"),
        (300, pa.int8(), "300 is beyond what int8 holds"),
        (-1, pa.uint64(), "-1 is beyond what uint64 holds"),
        ((1 << 64) - 1, pa.int64(), "18446744073709551615 is beyond what int64 holds"),
        (1e300, pa.float32(), "1e+300 is beyond what float holds"),
        (1e9, pa.float16(), "1000000000.0 is beyond what halffloat holds"),
        ("9999-01-01", pa.timestamp("ns"), "'9999-01-01' is beyond what timestamp[ns] holds"),
        ("2024-05-01T12:00:00.5", pa.timestamp("s"), "is finer than what timestamp[s] holds"),
    ],
)
def test_a_bound_that_no_value_of_the_column_could_be(
    value: Plain, kind: pa.DataType, message: str
) -> None:
    with pytest.raises(ValueError, match=f"{message}".replace("[", r"\[").replace("+", r"\+")):
        in_type(value, kind)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float16()), pa.binary(), pa.null(), pa.date32(), pa.decimal128(5, 2)]
)
def test_columns_that_cannot_be_compared(kind: pa.DataType) -> None:
    assert kind_of(kind) is None


def test_values_in_messages_are_one_short_line() -> None:
    assert shown("two\nlines") == r"'two\nlines'"
    assert len(shown("word " * 500)) < 70
    assert (shown(0.22), shown(True), shown(NOON)) == ("0.22", "true", "2024-05-01T12:00:00+00:00")
    assert listed(("a", "b")) == "'a', 'b'"
    assert listed(tuple(range(1200))) == "0, 1, 2, 3, 4, … (1,200 in all)"
