from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from exact import nearest_float32
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.scan import (
    Counts,
    Limits,
    Piece,
    Scanner,
    batches,
    threads,
)
from laion_eo.builtin.retrievers.exact_scan.topk import MAX_QUERIES
from laion_eo.kinds import merge_neighbors, no_neighbors
from laion_eo.testing import random_unit
from laion_eo.types import Neighbors

QUERIES = random_unit(30, 96)
ROWS = random_unit(400, 96, seed=1)
SMALL_BLOCKS = Limits(block_scores=30 * 50)


def scanned(
    rows: NDArray[np.floating], k: int, limits: Limits, queries: NDArray[np.float32] = QUERIES
) -> tuple[Neighbors, Counts, Scanner]:
    """Scan one piece; return what is found, the counts, and the scanner."""
    counts = Counts()
    scanner = Scanner(queries, k, "auto", counts, limits)
    found = scanner.scan(Piece(rows, 0, "x", 0), np.full(len(queries), -np.inf, np.float32))
    scanner.close()
    return found, counts, scanner


def nearest(
    rows: NDArray[np.floating], k: int, queries: NDArray[np.float32] = QUERIES
) -> NDArray[np.int64]:
    scores = (queries.astype(np.float64) @ rows.astype(np.float64).T).astype(np.float32)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_where_a_guess_was_too_high_the_piece_is_searched_again() -> None:
    bold = Limits(block_scores=30 * 50, safety=-3.0)
    found, counts, _ = scanned(ROWS, 60, bold)
    np.testing.assert_array_equal(found.ids, nearest(ROWS, 60))
    assert counts.pairs == counts.pairs_again == 30 * len(ROWS)


@pytest.mark.parametrize("near", [slice(0, 60), slice(0, 480, 8)])
def test_a_sorted_pool_is_searched_once(near: slice) -> None:
    """Neighbours all in a row, or all at one distance from each other, fool no sample."""
    rows = random_unit(480, 96, seed=2)
    neighbours = QUERIES[0] + 0.05 * random_unit(60, 96, seed=3)
    rows[near] = neighbours / np.linalg.norm(neighbours, axis=1, keepdims=True)
    found, counts, _ = scanned(rows, 60, SMALL_BLOCKS)
    np.testing.assert_array_equal(found.ids, nearest(rows, 60))
    assert (counts.pairs, counts.pairs_again) == (30 * len(rows), 0)


def test_few_pairs_are_pending_at_a_time() -> None:
    """Copies tie, and are all within reach: more than may be pending."""
    rows = np.repeat(ROWS[:8], 100, axis=0)
    found, _, scanner = scanned(rows, 10, Limits(block_scores=30 * 50, pending=0))
    np.testing.assert_array_equal(found.ids, nearest(rows, 10))
    assert 10 * 30 < scanner.peak_pending <= 4 * 10 * 30 + 30 * 50
    assert scanner.peak_kept == 10 * 30
    _, _, roomy = scanned(rows, 10, SMALL_BLOCKS)
    assert roomy.peak_pending > 4 * 10 * 30 + 30 * 50  # so the limit is what kept it low


def test_lower_scores_than_the_floor_are_left_out() -> None:
    scanner = Scanner(QUERIES, 5, "auto", Counts())
    expected, _, _ = scanned(ROWS, 5, Limits())
    found = scanner.scan(Piece(ROWS, 0, "x", 0), expected.scores[:, 2])
    scanner.close()
    np.testing.assert_array_equal(found.ids[:, :3], expected.ids[:, :3])


def test_many_queries_are_searched_in_several_passes() -> None:
    assert batches(MAX_QUERIES + 1, 1) == [
        slice(0, MAX_QUERIES),
        slice(MAX_QUERIES, 2 * MAX_QUERIES),
    ]
    sevens = [slice(first, first + 7) for first in range(0, 40, 7)]
    assert batches(40, 50, kept=50 * 7 + 49) == sevens
    assert batches(2, 50, kept=1) == [slice(0, 1), slice(1, 2)]


@dataclass(frozen=True)
class Search:
    """A small pool, queries, and how it is scanned."""

    rows: NDArray[np.floating]
    queries: NDArray[np.float32]
    k: int
    cuts: Sequence[int]
    limits: Limits


@st.composite
def searches(draw: st.DrawFn) -> Search:
    """Few distinct vectors of few dimensions, so that many scores tie and many nearly do."""
    dim = draw(st.integers(1, 6))
    component = st.integers(-3, 3)
    vector = st.lists(component, min_size=dim, max_size=dim).filter(any)
    distinct = np.array(draw(st.lists(vector, min_size=1, max_size=6)), np.float64)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    which = st.integers(0, len(distinct) - 1)
    rows = draw(st.lists(which, max_size=30))
    queries = draw(st.lists(which, min_size=1, max_size=4))
    dtype = draw(st.sampled_from(["f2", "f4", "f8", ">f2", ">f4"]))
    limits = Limits(
        block_scores=draw(st.integers(1, 40)),
        block_rows=draw(st.integers(1, 12)),
        pending=draw(st.integers(0, 20)),
        safety=draw(st.sampled_from([-3.0, 0.0, 5.5])),
        margin_share=draw(st.sampled_from([0.0, 0.25, 1.0])),
    )
    return Search(
        rows=distinct[rows].astype(dtype),
        queries=distinct[queries].astype(np.float32),
        k=draw(st.integers(1, 35)),
        cuts=sorted({0, len(rows), *draw(st.lists(st.integers(0, len(rows)), max_size=2))}),
        limits=limits,
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(search=searches())
def test_any_scan_finds_what_brute_force_finds(search: Search) -> None:
    """However the pool is cut, blocked and guessed: the same rows, and the same bits of scores."""
    counts = Counts()
    scanner = Scanner(search.queries, search.k, "auto", counts, search.limits)
    best = no_neighbors(len(search.queries), search.k)
    for start, stop in pairwise(search.cuts):
        piece = Piece(search.rows[start:stop], start, "x", start)
        best = merge_neighbors(best, scanner.scan(piece, best.scores[:, -1]))
    scanner.close()
    for query, ids, scores in zip(search.queries, best.ids, best.scores, strict=True):
        exact = [nearest_float32(query, row) for row in search.rows.astype(np.float32)]
        order = sorted(range(len(exact)), key=lambda row: (-exact[row], row))[: search.k]
        absent = search.k - len(order)
        assert ids.tolist() == order + [-1] * absent
        assert scores.tolist() == [exact[row] for row in order] + [-np.inf] * absent
    assert counts.pairs == len(search.queries) * len(search.rows)


def test_as_many_threads_as_one_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    for unlimited in ("0", "4,2", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", unlimited)
        assert threads() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads() == os.cpu_count()
