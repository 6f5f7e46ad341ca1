from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.topk import MAX_QUERIES, MAX_ROWS, QUERIES_TOGETHER, Candidates, TopK


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def sorted_outright(scores: NDArray[np.float32]) -> tuple[list[int], list[float]]:
    """One query's rows by a plain sort: best first, equal scores by row."""
    order = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i))
    return order, [float(scores[i]) for i in order]


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("values", [3, 10_000])
def test_the_k_best_as_a_plain_sort_whatever_the_order_and_ties(block: int, values: int) -> None:
    rng = np.random.default_rng(block)
    scores = (rng.integers(-values, values, (4, 100)) / values).astype(np.float32)
    best = TopK(4, 9)
    order = rng.permutation(100)
    for query in range(4):
        for start in range(0, 100, block):
            rows = order[start : start + block]
            best.add(query, rows, scores[query, rows])
        assert best.worst(query) == sorted_outright(scores[query])[1][8]
    found = best.result(first_id=1000)
    for query in range(4):
        rows_there, expected = sorted_outright(scores[query])
        assert found.ids[query].tolist() == [row + 1000 for row in rows_there[:9]]
        assert found.scores[query].tolist() == expected[:9]


def test_fewer_rows_than_k_end_in_minus_one() -> None:
    best = TopK(3, 3)
    best.add(0, np.array([0, 1]), np.array([0.1, 0.3], np.float32))
    best.add(2, np.array([0]), np.array([-0.2], np.float32))
    best.add(2, np.array([1]), np.array([0.0], np.float32))
    assert [best.worst(query) for query in range(3)] == 3 * [-np.inf]
    found = best.result()
    assert found.ids.tolist() == [[1, 0, -1], [-1, -1, -1], [1, 0, -1]]
    assert found.scores[2].tolist() == pytest.approx([0.0, -0.2, -np.inf])


def test_minus_zero_ties_with_zero() -> None:
    best = TopK(1, 2)
    best.add(0, np.array([5, 4]), np.array([0.0, -0.0], np.float32))
    assert best.result().ids.tolist() == [[4, 5]]


@pytest.mark.parametrize("often", [False, True])
def test_candidates_are_ranked(threads: Executor, often: bool) -> None:
    queries = QUERIES_TOGETHER + 3
    scores = np.random.default_rng(0).uniform(-1, 1, (queries, 50)).astype(np.float32)
    waiting = Candidates(queries, threads)
    for rows in np.array_split(np.random.default_rng(1).permutation(50), 4):
        every = np.repeat(np.arange(queries), len(rows))
        waiting.add(every, np.tile(rows, queries), scores[:, rows].ravel())
        if often:
            waiting.sort()
    assert waiting.count == queries * 50
    np.testing.assert_array_equal(waiting.rank(7), -np.sort(-scores, axis=1)[:, 6])
    assert (waiting.rank(51) == -np.inf).all()
    for query in range(queries):
        rows_there, there = waiting.of(query)
        assert (rows_there.tolist(), there.tolist()) == sorted_outright(scores[query])


def test_candidates_of_some_queries_only(threads: Executor) -> None:
    waiting = Candidates(MAX_QUERIES, threads)
    rows = np.array([0, MAX_ROWS - 1])
    waiting.add(np.array([0, MAX_QUERIES - 1]), rows, np.array([1.0, -1.0], np.float32))
    assert waiting.rank(1)[[0, 1, -1]].tolist() == [1.0, -np.inf, -1.0]
    assert waiting.of(MAX_QUERIES - 1)[0].tolist() == [MAX_ROWS - 1]
    assert not len(waiting.of(1)[0])
    with pytest.raises(ValueError, match=str(MAX_QUERIES)):
        Candidates(MAX_QUERIES + 1, threads)


def test_nothing_added_gives_no_neighbours() -> None:
    found = TopK(3, 2).result()
    assert (found.ids == -1).all()
    assert found.scores.dtype == np.float32
