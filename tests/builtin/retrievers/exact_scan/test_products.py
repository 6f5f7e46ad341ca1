from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from laion_eo.builtin.retrievers.exact_scan import products, scan, scoring
from laion_eo.builtin.retrievers.exact_scan.products import (
    BFloat16Product,
    Float32Product,
    Product,
    make_product,
)
from laion_eo.builtin.retrievers.exact_scan.scan import Counts, Piece, Scanner
from laion_eo.builtin.retrievers.exact_scan.scoring import ExactScores, gather
from laion_eo.builtin.retrievers.exact_scan.topk import (
    MAX_QUERIES,
    MAX_ROWS,
    Candidates,
    Hits,
    joined,
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
        found = product.reaching(product.scores(ROWS), np.full(30, threshold, np.float32))
        assert (np.diff(found.queries) >= 0).all()
        reached = np.zeros(PRECISE.shape, bool)
        reached[found.queries, found.rows] = True
        assert reached[threshold <= PRECISE].all()
        assert not reached[threshold - 0.02 > PRECISE].any()
        np.testing.assert_allclose(found.scores, PRECISE[found.queries, found.rows], atol=0.01)
        below = np.linspace(threshold, threshold + 0.1, 30, dtype=np.float32)
        within = product.reaches(found, below)
        above = PRECISE[found.queries, found.rows] - below[found.queries]
        assert within[above >= 0].all()
        assert not within[above < -0.02].any()


def test_no_pair_is_lost_to_the_rounding_of_its_sum() -> None:
    scores = PRECISE.astype(np.float32)
    for product in both():
        for row in range(len(ROWS)):
            found = product.reaching(product.scores(ROWS), scores[:, row])
            assert (found.rows == row).sum() == len(QUERIES)


def test_the_margin_covers_the_worst_rounding() -> None:
    """Numbers that bfloat16 rounds as far as it can, all in the same direction."""
    torch = pytest.importorskip("torch")
    for dim in (768, 1024):  # of length 0.87 and 1.004
        rows = np.full((1, dim), 2.0**-5 * (1 + 2.0**-8 - 2.0**-20), np.float32)
        for queries in (rows, -rows):
            product = BFloat16Product(queries, THREADS, "cpu")
            true = queries.astype(np.float64) @ rows.astype(np.float64).T
            found = product.reaching(product.scores(rows), true[0].astype(np.float32))
            assert len(found.rows) == 1
            low = [torch.from_numpy(part).bfloat16().double() for part in (queries, rows)]
            assert abs(true - (low[0] @ low[1].T).numpy()) <= product.margin


def test_ranked_is_about_the_score_at_that_place() -> None:
    expected = -np.sort(-PRECISE, axis=1)[:, 9]
    for product in both():
        np.testing.assert_allclose(product.ranked(product.scores(ROWS), 10), expected, atol=0.01)


def test_without_torch_or_bfloat16_float32_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_multiplies_bfloat16", lambda: False)
    assert isinstance(make_product(QUERIES, THREADS, "cpu"), Float32Product)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert isinstance(make_product(QUERIES, THREADS, "auto"), Float32Product)


@pytest.mark.parametrize("doubt", [None, 1.0])
@pytest.mark.parametrize("torch", [True, False])
def test_scores_are_rounded_correctly(
    doubt: float | None, torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against exact fractions; with the doubt raised, every sum is made again."""
    if torch:
        pytest.importorskip("torch")
    else:
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
        monkeypatch.setattr(scoring, "PAIRS_TOGETHER", 8)
    exact = ExactScores(QUERIES)
    if doubt is not None:
        exact._doubt = doubt
    wanted = [(query, row) for row in range(0, 400, 41) for query in (29, 0, 3) if row != query]
    queries, rows = np.array(wanted, np.int32).T
    found = joined(exact(ROWS, Hits(queries, rows, np.zeros(len(rows), np.float32))))
    assert sorted(zip(found.queries, found.rows, strict=True)) == sorted(wanted)
    for query, row, score in zip(*found, strict=True):
        left = [Fraction(float(value)) for value in QUERIES[query]]
        right = [Fraction(float(value)) for value in ROWS[row]]
        true = sum((a * b for a, b in zip(left, right, strict=True)), Fraction(0))
        around = [np.nextafter(score, np.float32(end)) for end in (-2, 2)]
        nearest = min([score, *around], key=lambda value: abs(Fraction(float(value)) - true))
        assert nearest == score


def test_many_rows_are_scored_in_parts() -> None:
    """More than are widened together, of many queries, some rows for none."""
    rng = np.random.default_rng(0)
    rows = random_unit(3 * scoring.ROWS_TOGETHER, 8)
    queries = random_unit(70, 8, seed=1)
    wanted = np.argwhere(rng.random((70, len(rows))) < 0.01).astype(np.int32)
    pairs = Hits(wanted[:, 0], wanted[:, 1], np.zeros(len(wanted), np.float32))
    parts = list(ExactScores(queries)(rows.astype(np.float16), pairs))
    assert len(parts) == 2  # about half of the rows are wanted by somebody
    assert all((np.diff(part.queries) >= 0).all() for part in parts)
    found = joined(parts)
    order = np.lexsort((found.rows, found.queries))
    np.testing.assert_array_equal(found.queries[order], pairs.queries)
    np.testing.assert_array_equal(found.rows[order], pairs.rows)
    narrow = rows.astype(np.float16).astype(np.float64)
    true = np.einsum("ij,ij->i", queries.astype(np.float64)[found.queries], narrow[found.rows])
    np.testing.assert_array_equal(found.scores, true.astype(np.float32))


def test_as_many_rows_and_queries_as_there_may_be() -> None:
    rows, queries = np.ones((MAX_ROWS, 1), np.float16), np.ones((MAX_QUERIES, 1), np.float32)
    queries[-1] = -1
    wanted = np.full(MAX_ROWS, 5, np.int32)
    wanted[-1] = MAX_QUERIES - 1
    pairs = Hits(wanted, np.arange(MAX_ROWS, dtype=np.int32), np.zeros(MAX_ROWS, np.float32))
    found = joined(ExactScores(queries)(rows, pairs))
    np.testing.assert_array_equal(found.queries, wanted)
    np.testing.assert_array_equal(found.rows, pairs.rows)
    np.testing.assert_array_equal(found.scores, queries[wanted, 0])


def test_the_sums_are_torchs_where_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert scoring._choose_sums() is scoring._sums_by_numpy
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert scoring._choose_sums() is scoring._sums_by_torch
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert scoring._choose_sums() is scoring._sums_by_numpy


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f2", ">f4", ">f8", "g"])
@pytest.mark.parametrize("torch", [True, False])
def test_rows_are_gathered_in_float32(
    dtype: str, torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch:
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
    vectors, places = ROWS.astype(dtype), np.array([399, 0, 7])
    found = gather(vectors, places)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors[places].astype(np.float32))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_beside_the_middle_of_two_float32_is_rounded_once(sign: int) -> None:
    """Float64 cannot tell it from the middle, which goes to the even one."""
    for small, expected in ((2.0**-80, 1 + 2.0**-23), (0.0, 1.0), (-(2.0**-80), 1.0)):
        row = np.array([[1, 2.0**-12, small * 2.0**40]], np.float32) * np.float32(sign)
        query = np.array([[1, 2.0**-12, 2.0**-40]], np.float32)
        nothing = np.zeros(1, np.int32)
        (found,) = ExactScores(query)(row, Hits(nothing, nothing, np.zeros(1, np.float32)))
        assert found.scores[0] == sign * expected


def test_where_a_guess_was_too_high_the_piece_is_searched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "BLOCK_SCORES", 30 * 50)
    monkeypatch.setattr(scan, "SAFETY", -3.0)
    counts = Counts()
    scanner = Scanner(QUERIES, 60, "auto", counts)
    found = scanner.scan(Piece(ROWS, 0, "x", 0), np.full(30, -np.inf, np.float32))
    scanner.close()
    expected = np.argsort(-PRECISE.astype(np.float32), axis=1, kind="stable")[:, :60]
    np.testing.assert_array_equal(found.ids, expected)
    assert counts.pairs == counts.pairs_again == 30 * len(ROWS)


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
        assert (counts.pairs, counts.pairs_again) == (30 * len(rows), 0)


def test_few_pairs_wait_for_their_exact_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies tie, and are all within reach: more than can wait at a time."""
    rows = np.repeat(ROWS[:8], 100, axis=0)
    monkeypatch.setattr(scan, "BLOCK_SCORES", 30 * 50)
    monkeypatch.setattr(scan, "MAX_WAITING", 0)
    waited: list[int] = []
    kept: list[int] = []
    plain = Scanner._settle

    def settle(self: Scanner, piece: Piece, waiting: Candidates, best: Candidates) -> None:
        waited.append(waiting.count)
        plain(self, piece, waiting, best)
        kept.append(best.count)

    monkeypatch.setattr(Scanner, "_settle", settle)
    scanner = Scanner(QUERIES, 10, "auto", Counts())
    found = scanner.scan(Piece(rows, 0, "x", 0), np.full(30, -np.inf, np.float32))
    scanner.close()
    scores = (QUERIES.astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
    np.testing.assert_array_equal(found.ids, np.argsort(-scores, axis=1, kind="stable")[:, :10])
    assert max(waited) <= 4 * 10 * 30 + 30 * 50
    assert len(waited) > 1
    assert max(kept) <= 10 * 30


def test_as_many_threads_as_one_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert scan.threads() == 3
    for unlimited in ("0", "4,2", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", unlimited)
        assert scan.threads() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert scan.threads() == os.cpu_count()
