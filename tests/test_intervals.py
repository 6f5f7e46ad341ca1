from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.intervals import count_for, effective, lower_bound, share_interval


def test_newcombes_own_examples() -> None:
    # Newcombe 1998, table I, method 4: 81 of 263, 15 of 148, 0 of 20 and 1 of 29, at 95 %.
    wanted = {(81, 263): (0.2535, 0.3682), (15, 148): (0.0598, 0.1644),
              (0, 20): (0.0, 0.2005), (1, 29): (0.0018, 0.1963)}  # fmt: skip
    for (right, count), bounds in wanted.items():
        assert share_interval(right / count, count, 0.95) == pytest.approx(bounds, abs=6e-5)


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.5, 0.99))
def test_a_share_is_within_its_interval(right: int, count: int, confidence: float) -> None:
    share = min(right, count) / count
    low, high = share_interval(share, count, confidence)
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9, 0.97, 0.995])
@pytest.mark.parametrize("count", [20, 40, 60])
def test_an_interval_holds_as_often_as_it_says(share: float, count: int) -> None:
    found = np.random.default_rng(0).binomial(count, share, 3000) / count
    bounds = np.array([share_interval(one, count, 0.9) for one in found])
    assert np.mean((bounds[:, 0] <= share) & (share <= bounds[:, 1])) >= 0.9


def test_all_of_a_few_are_known() -> None:
    assert share_interval(0.9, 20, of=20) == (0.9, 0.9)
    some, alone = share_interval(0.9, 20, of=30), share_interval(0.9, 20)
    assert some[1] - some[0] < alone[1] - alone[0]
    assert share_interval(0.5, 0) == (0.0, 1.0)


def test_a_bound_of_one_side() -> None:
    assert lower_bound(76, 76, 0.9) < 0.97 < lower_bound(90, 90, 0.9)
    assert lower_bound(0, 0, 0.9) == 0.0


def test_how_many_are_worth_as_much() -> None:
    assert effective(np.ones(7)) == pytest.approx(7)
    assert effective(np.array([1.0, 1.0, 8.0])) == pytest.approx(100 / 66)


def test_how_many_a_width_takes() -> None:
    count = count_for(0.95, 0.05)
    assert count is not None
    widths = [np.diff(share_interval(0.95, n))[0] for n in (count - 1, count)]
    assert widths[1] <= 0.05 < widths[0]
    assert count_for(0.5, 1e-9) is None
