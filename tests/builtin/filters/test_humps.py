from __future__ import annotations

import numpy as np
import pytest

from laion_eo.builtin.filters.humps import two_humps


def drawn(seed: int, *humps: tuple[float, float, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(mean, spread, rows) for mean, spread, rows in humps])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [60, 400, 20_000])
def test_one_hump_is_no_two(seed: int, rows: int) -> None:
    assert two_humps(drawn(seed, (0.3, 0.05, rows))) is None
    assert two_humps(np.random.default_rng(seed).uniform(0, 1, rows)) is None
    assert two_humps(np.random.default_rng(seed).exponential(1, rows)) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("right", [40, 300, 5_000])
def test_the_valley_is_between_the_humps(seed: int, right: int) -> None:
    """Even where the smaller one has a fiftieth of the rows, if those are enough to be seen."""
    valley = two_humps(drawn(seed, (0.0, 0.08, 2_000), (0.8, 0.05, right)))
    assert valley is not None
    assert 0.2 < valley < 0.75


def test_a_few_stray_values_are_no_hump() -> None:
    assert two_humps(drawn(0, (0.0, 0.08, 2_000), (0.8, 0.05, 3))) is None


def test_what_says_nothing() -> None:
    assert two_humps(np.zeros(0)) is None
    assert two_humps(np.full(500, 0.2)) is None
    assert two_humps(drawn(1, (0.0, 0.1, 20), (5.0, 0.1, 20))) is None
    assert two_humps(np.array([0.0] * 400 + [1e9])) is None
    assert two_humps(np.r_[np.full(60, np.nan), 0.5, 0.6]) is None
