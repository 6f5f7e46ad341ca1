from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from laion_eo.builtin.exact_scan import products, scan
from laion_eo.builtin.exact_scan.products import (
    BFloat16Product,
    ExactScores,
    Float32Product,
    Product,
    make_product,
)
from laion_eo.builtin.exact_scan.scan import Counts, Piece, Scanner
from laion_eo.testing import random_unit

QUERIES = random_unit(30, 96)
ROWS = random_unit(400, 96, seed=1)
PRECISE = QUERIES.astype(np.float64) @ ROWS.astype(np.float64).T


def both() -> list[Product]:
    pytest.importorskip("torch")
    return [Float32Product(QUERIES), BFloat16Product(QUERIES, "cpu")]


@pytest.mark.parametrize("threshold", [-0.3, 0.0, 0.05, 0.2])
def test_no_pair_that_reaches_its_threshold_is_lost(threshold: float) -> None:
    for product in both():
        thresholds = np.full(30, threshold, np.float32)
        reached = product.may_reach(product.scores(ROWS), thresholds)
        assert reached[threshold <= PRECISE].all()
        assert not reached[threshold - 0.02 > PRECISE].any()


def test_the_margin_covers_the_worst_rounding() -> None:
    """Numbers that bfloat16 rounds as far as it can, all in the same direction."""
    pytest.importorskip("torch")
    worst = np.full((1, 768), 1 + 2.0**-8 - 2.0**-20, np.float32)
    unit = (worst / np.linalg.norm(worst)).astype(np.float32)
    scale = np.float32(2.0 ** math.floor(math.log2(unit[0, 0])))
    rows = np.full((1, 768), scale * (1 + 2.0**-8 - 2.0**-20), np.float32)
    rows /= max(1.0, float(np.linalg.norm(rows)) / products.MAX_LENGTH)
    for queries in (rows, -rows):
        product = BFloat16Product(queries, "cpu")
        score = float(queries[0].astype(np.float64) @ rows[0].astype(np.float64))
        thresholds = np.array([score], np.float32)
        assert product.may_reach(product.scores(rows), thresholds).all()


def test_ranked_is_about_the_score_at_that_place() -> None:
    expected = -np.sort(-PRECISE, axis=1)[:, 9]
    for product in both():
        np.testing.assert_allclose(product.ranked(product.scores(ROWS), 10), expected, atol=0.01)


def test_without_torch_or_bfloat16_float32_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_multiplies_bfloat16", lambda: False)
    assert isinstance(make_product(QUERIES, "cpu"), Float32Product)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert isinstance(make_product(QUERIES, "auto"), Float32Product)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_scores_are_rounded_correctly(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against exact fractions; with the doubt raised, every sum is made again."""
    pairs = (np.arange(30), np.arange(30) * 7)
    exact = ExactScores(QUERIES)
    monkeypatch.setattr(products, "DENSE", 1.0 - share)
    if share:
        exact._doubt = 1.0
    found = exact(ROWS, pairs)
    exact.close()
    for query, row, score in zip(*pairs, found, strict=True):
        left = [Fraction(float(value)) for value in QUERIES[query]]
        right = [Fraction(float(value)) for value in ROWS[row]]
        true = sum((a * b for a, b in zip(left, right, strict=True)), Fraction(0))
        around = [np.nextafter(score, np.float32(end)) for end in (-2, 2)]
        nearest = min([score, *around], key=lambda value: abs(Fraction(float(value)) - true))
        assert nearest == score


def test_where_a_guess_was_too_high_the_piece_is_searched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "BLOCK_SCORES", 30 * 50)
    monkeypatch.setattr(scan, "SAFETY", -1.0)
    counts = Counts()
    scanner = Scanner(QUERIES, 60, "auto", counts)
    found = scanner.scan(Piece(ROWS, 0, "x", 0), np.full(30, -np.inf, np.float32))
    scanner.close()
    expected = np.argsort(-PRECISE.astype(np.float32), axis=1, kind="stable")[:, :60]
    np.testing.assert_array_equal(found.ids, expected)
    assert counts.rows == 2 * len(ROWS)


def test_a_sorted_pool_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours all in a row, or all at one distance from each other, fool no sample."""
    monkeypatch.setattr(scan, "BLOCK_SCORES", 30 * 50)
    for places in (slice(0, 60), slice(0, 480, 8)):
        rows = random_unit(480, 96, seed=2)
        near = QUERIES[0] + 0.05 * random_unit(60, 96, seed=3)
        rows[places] = near / np.linalg.norm(near, axis=1, keepdims=True)
        counts = Counts()
        scanner = Scanner(QUERIES, 60, "auto", counts)
        found = scanner.scan(Piece(rows, 0, "x", 0), np.full(30, -np.inf, np.float32))
        scanner.close()
        scores = (QUERIES.astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
        expected = np.argsort(-scores, axis=1, kind="stable")[:, :60]
        np.testing.assert_array_equal(found.ids, expected)
        assert counts.rows == len(rows)
