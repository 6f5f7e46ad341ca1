from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.retrying import LONGEST, RetryPolicy, retry_after

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SETTINGS = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("0000000000000120", 120.0),
        ("9" * 5000, LONGEST),
        ("Fri, 01 Jan 2027 00:01:00 GMT", 60.0),
        ("Friday, 01-Jan-27 00:01:00 GMT", 60.0),
        ("Fri Jan  1 00:01:00 2027", 60.0),
        ("Fri, 01 Jan 2027 01:01:00 +0100", 60.0),
        ("Fri, 01 Jan 2021 00:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2999 00:00:00 GMT", LONGEST),
        ("Fri, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Fri, 32 Jan 2027 00:00:00 GMT", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


HEADERS = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"\A\s*[-+0-9.eE]{0,40}\s*\Z"),
    st.from_regex(
        r"\A[A-Za-z]{3,9}[, ]{1,2}[0-9]{1,3}[ -][A-Za-z]{3}[ -][0-9]{1,20} "
        r"[0-9]{1,3}:[0-9]{1,9}(:[0-9]{1,3})? ?([+-][0-9]{1,12}|[A-Z]{1,3})?\Z"
    ),
)


@SETTINGS
@given(HEADERS)
def test_any_header_gives_a_bounded_wait_or_none(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or 0.0 <= wait <= LONGEST


@SETTINGS
@given(st.integers(0, int(LONGEST)))
def test_a_date_is_worth_the_seconds_until_then(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == retry_after(str(seconds), NOW) == seconds


def test_waits_double_up_to_the_longest() -> None:
    policy = RetryPolicy(tries=6, first_wait=1.0, longest_wait=5.0)
    assert [policy.wait(failed) for failed in range(1, 7)] == [1.0, 2.0, 4.0, 5.0, 5.0, None]


@pytest.mark.parametrize(
    ("failed", "asked", "wait"),
    [
        (1, 3.0, 3.0),
        (3, 3.0, 4.0),  # a server that keeps saying "in 3 s" is spared longer, all the same
        (1, 0.0, 1.0),
        (1, 5.0, 5.0),
        (1, 5.1, None),
        (6, 0.0, None),
    ],
)
def test_what_the_server_asks_for_is_the_least(
    failed: int, asked: float, wait: float | None
) -> None:
    assert RetryPolicy(tries=6, first_wait=1.0, longest_wait=5.0).wait(failed, asked) == wait


SECONDS = st.floats(0.0, 1e6)


@SETTINGS
@given(
    st.builds(RetryPolicy, st.integers(1, 10**6), SECONDS, SECONDS, st.floats(0.0, 1.0)),
    st.integers(1, 10**6),
    st.none() | SECONDS,
)
def test_a_wait_is_bounded_and_never_shorter_than_asked(
    policy: RetryPolicy, failed: int, asked: float | None
) -> None:
    wait = policy.wait(failed, asked)
    refused = failed >= policy.tries or (asked or 0.0) > policy.longest_wait
    assert (wait is None) == refused
    if wait is not None:
        assert math.isfinite(wait)
        assert (asked or 0.0) <= wait <= policy.longest_wait
