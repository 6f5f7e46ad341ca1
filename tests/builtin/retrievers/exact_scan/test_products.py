from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from laion_eo.builtin.retrievers.exact_scan.products import (
    BFloat16Product,
    Float32Product,
    Product,
    make_product,
)
from laion_eo.testing import random_unit

QUERIES = random_unit(30, 96)
ROWS = random_unit(400, 96, seed=1)
PRECISE = QUERIES.astype(np.float64) @ ROWS.astype(np.float64).T
THREADS = ThreadPoolExecutor(2)


def both() -> list[Product]:
    pytest.importorskip("torch")
    return [Float32Product(QUERIES, THREADS), BFloat16Product(QUERIES, THREADS, "cpu")]


@pytest.mark.parametrize("threshold", [-0.3, 0.0, 0.05, 0.2])
def test_no_pair_that_reaches_its_threshold_is_lost(threshold: float) -> None:
    for product in both():
        found = product.select(product.scores(ROWS), np.full(30, threshold, np.float32))
        assert (np.diff(found.queries) >= 0).all()
        reached = np.zeros(PRECISE.shape, bool)
        reached[found.queries, found.rows] = True
        assert reached[threshold <= PRECISE].all()
        assert not reached[threshold - 0.02 > PRECISE].any()
        np.testing.assert_allclose(found.scores, PRECISE[found.queries, found.rows], atol=0.01)
        below = np.linspace(threshold, threshold + 0.1, 30, dtype=np.float32)
        within = product.within_reach(found, below)
        above = PRECISE[found.queries, found.rows] - below[found.queries]
        assert within[above >= 0].all()
        assert not within[above < -0.02].any()


def test_no_pair_is_lost_to_the_rounding_of_its_sum() -> None:
    scores = PRECISE.astype(np.float32)
    for product in both():
        for row in range(len(ROWS)):
            found = product.select(product.scores(ROWS), scores[:, row])
            assert (found.rows == row).sum() == len(QUERIES)


def test_the_margin_covers_the_worst_rounding() -> None:
    """Numbers that bfloat16 rounds as far as it can, all in the same direction."""
    torch = pytest.importorskip("torch")
    for dim in (768, 1024):  # of length 0.87 and 1.004
        rows = np.full((1, dim), 2.0**-5 * (1 + 2.0**-8 - 2.0**-20), np.float32)
        for queries in (rows, -rows):
            product = BFloat16Product(queries, THREADS, "cpu")
            true = queries.astype(np.float64) @ rows.astype(np.float64).T
            found = product.select(product.scores(rows), true[0].astype(np.float32))
            assert len(found.rows) == 1
            low = [torch.from_numpy(part).bfloat16().double() for part in (queries, rows)]
            assert abs(true - (low[0] @ low[1].T).numpy()) <= product.margin


def test_scores_at_a_rank_are_about_right() -> None:
    expected = -np.sort(-PRECISE, axis=1)[:, 9]
    for product in both():
        found = product.scores_at(product.scores(ROWS), 10)
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_without_torch_or_bfloat16_float32_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    fast = make_product(QUERIES, THREADS, "cpu", fast_bfloat16=True)
    assert isinstance(fast, BFloat16Product)
    assert isinstance(make_product(QUERIES, THREADS, "cpu", fast_bfloat16=False), Float32Product)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert isinstance(make_product(QUERIES, THREADS, "auto"), Float32Product)
