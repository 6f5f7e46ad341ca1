from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from laion_eo.builtin.exact_scan import products, scan
from laion_eo.builtin.exact_scan.products import (
    BFloat16Product,
    Float32Product,
    Product,
    make_product,
)
from laion_eo.builtin.exact_scan.scan import Counts, Piece, Scanner
from laion_eo.builtin.exact_scan.scoring import ExactScores, gather
from laion_eo.builtin.exact_scan.threads import start_threads
from laion_eo.builtin.topk import Candidates, TopK
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
        mine = found.queries == 3
        below = threshold + 0.05
        within = product.reaches(3, found.scores[mine], below)
        assert within[PRECISE[3, found.rows[mine]] >= below].all()
        assert not within[PRECISE[3, found.rows[mine]] < below - 0.02].any()


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
def test_scores_are_rounded_correctly(doubt: float | None) -> None:
    """Against exact fractions; with the doubt raised, every sum is made again."""
    exact = ExactScores(QUERIES)
    if doubt is not None:
        exact._doubt = doubt
    rows = np.arange(10) * 7
    for query in range(3):
        for row, score in zip(rows, exact(ROWS, query, rows), strict=True):
            left = [Fraction(float(value)) for value in QUERIES[query]]
            right = [Fraction(float(value)) for value in ROWS[row]]
            true = sum((a * b for a, b in zip(left, right, strict=True)), Fraction(0))
            around = [np.nextafter(score, np.float32(end)) for end in (-2, 2)]
            nearest = min([score, *around], key=lambda value: abs(Fraction(float(value)) - true))
            assert nearest == score


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("torch", [True, False])
def test_rows_are_gathered_in_float32(
    dtype: type[np.floating], torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch:
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
    vectors, places = ROWS.astype(dtype), np.array([399, 0, 7])
    out = np.empty((3, 96), np.float32)
    gather(vectors, places, out)
    np.testing.assert_array_equal(out, vectors[places].astype(np.float32))


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


def test_few_pairs_wait_for_their_exact_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies tie, and are all within reach: more than can wait at a time."""
    rows = np.repeat(ROWS[:8], 100, axis=0)
    monkeypatch.setattr(scan, "BLOCK_SCORES", 30 * 50)
    monkeypatch.setattr(scan, "MAX_WAITING", 0)
    waited: list[int] = []
    plain = Scanner._settle

    def settle(self: Scanner, piece: Piece, waiting: Candidates, best: TopK) -> None:
        waited.append(waiting.count)
        plain(self, piece, waiting, best)

    monkeypatch.setattr(Scanner, "_settle", settle)
    scanner = Scanner(QUERIES, 10, "auto", Counts())
    found = scanner.scan(Piece(rows, 0, "x", 0), np.full(30, -np.inf, np.float32))
    scanner.close()
    scores = (QUERIES.astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
    np.testing.assert_array_equal(found.ids, np.argsort(-scores, axis=1, kind="stable")[:, :10])
    assert max(waited) <= 4 * 10 * 30 + 30 * 50
    assert len(waited) > 1


def test_torch_works_alone_in_each_thread_and_as_before_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with start_threads() as pool:
            assert [*pool.map(lambda _: torch.get_num_threads(), range(8))] == 8 * [1]
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)
