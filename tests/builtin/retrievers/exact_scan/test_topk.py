from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.topk import (
    MAX_QUERIES,
    MAX_ROWS,
    QUERIES_TOGETHER,
    Candidates,
    Hits,
    joined,
)


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def sorted_outright(scores: NDArray[np.float32]) -> tuple[list[int], list[float]]:
    """One query's rows by a plain sort: best first, equal scores by row."""
    order = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i))
    return order, [float(scores[i]) for i in order]


def one_query(query: int, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Hits:
    return Hits(np.full(len(rows), query, np.int32), rows.astype(np.int32), scores)


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("values", [3, 10_000])
def test_the_k_best_as_a_plain_sort_whatever_the_order_and_ties(
    threads: Executor, block: int, values: int
) -> None:
    rng = np.random.default_rng(block)
    queries = QUERIES_TOGETHER + 3
    scores = (rng.integers(-values, values, (queries, 100)) / values).astype(np.float32)
    best, kept = Candidates(queries, threads), Candidates(queries, threads)
    order = rng.permutation(100)
    for start in range(0, 100, block):
        rows = order[start : start + block]
        hits = joined(one_query(query, rows, scores[query, rows]) for query in range(queries))
        best.add(hits)
        kept.add(hits)
        kept.keep(9)
    assert (best.count, kept.count) == (queries * 100, queries * 9)
    found = best.best(9, first_id=1000)
    for query in range(queries):
        rows_there, expected = sorted_outright(scores[query])
        assert found.ids[query].tolist() == [row + 1000 for row in rows_there[:9]]
        assert found.scores[query].tolist() == expected[:9]
    np.testing.assert_array_equal(kept.best(9, first_id=1000).ids, found.ids)
    np.testing.assert_array_equal(best.rank(9), found.scores[:, 8])
    assert (best.rank(101) == -np.inf).all()


def test_fewer_rows_than_k_end_in_minus_one(threads: Executor) -> None:
    best = Candidates(3, threads)
    best.add(one_query(0, np.array([0, 1]), np.array([0.1, 0.3], np.float32)))
    best.add(one_query(2, np.array([0]), np.array([-0.2], np.float32)))
    best.add(one_query(2, np.array([1]), np.array([0.0], np.float32)))
    assert best.rank(3).tolist() == 3 * [-np.inf]
    assert best.rank(2).tolist() == pytest.approx([0.1, -np.inf, -0.2])
    found = best.best(3)
    assert found.ids.tolist() == [[1, 0, -1], [-1, -1, -1], [1, 0, -1]]
    assert found.scores[2].tolist() == pytest.approx([0.0, -0.2, -np.inf])


def test_minus_zero_ties_with_zero(threads: Executor) -> None:
    best = Candidates(1, threads)
    best.add(one_query(0, np.array([5, 4]), np.array([0.0, -0.0], np.float32)))
    assert best.best(2).ids.tolist() == [[4, 5]]


def test_the_best_and_the_others_are_all_of_them(threads: Executor) -> None:
    queries = QUERIES_TOGETHER + 3
    scores = np.random.default_rng(0).uniform(-1, 1, (queries, 50)).astype(np.float32)
    waiting = Candidates(queries, threads)
    for rows in np.array_split(np.random.default_rng(1).permutation(50).astype(np.int32), 4):
        every = np.repeat(np.arange(queries, dtype=np.int32), len(rows))
        waiting.add(Hits(every, np.tile(rows, queries), scores[:, rows].ravel()))
    ahead, behind = waiting.split(7)
    assert (np.diff(ahead.queries) >= 0).all()
    assert (np.diff(behind.queries) >= 0).all()
    for query in range(queries):
        order, _ = sorted_outright(scores[query])
        assert ahead.rows[ahead.queries == query].tolist() == order[:7]
        assert behind.rows[behind.queries == query].tolist() == order[7:]
    for part in (ahead, behind):
        np.testing.assert_array_equal(part.scores, scores[part.queries, part.rows])
    assert waiting.count == queries * 50


def test_candidates_of_some_queries_only(threads: Executor) -> None:
    waiting = Candidates(MAX_QUERIES, threads)
    rows = np.array([0, MAX_ROWS - 1], np.int32)
    ends = np.array([0, MAX_QUERIES - 1], np.int32)
    waiting.add(Hits(ends, rows, np.array([1.0, -1.0], np.float32)))
    assert waiting.rank(1)[[0, 1, -1]].tolist() == [1.0, -np.inf, -1.0]
    assert waiting.best(1).ids[[0, 1, -1], 0].tolist() == [0, -1, MAX_ROWS - 1]
    with pytest.raises(ValueError, match=str(MAX_QUERIES)):
        Candidates(MAX_QUERIES + 1, threads)


def test_nothing_added_gives_no_neighbours(threads: Executor) -> None:
    found = Candidates(3, threads).best(2)
    assert (found.ids == -1).all()
    assert found.scores.dtype == np.float32
