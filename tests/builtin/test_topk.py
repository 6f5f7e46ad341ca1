from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.topk import MAX_QUERIES, MAX_ROWS, TopK


def sorted_outright(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], list[float]]:
    """The first row's k best, by a plain sort: best first, equal scores by id."""
    order = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i))[:k]
    return np.array(order), [float(scores[i]) for i in order]


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("values", [3, 10_000])
@pytest.mark.parametrize("settle", [False, True])
def test_equals_a_plain_sort_whatever_the_order_and_ties(
    block: int, values: int, settle: bool
) -> None:
    rng = np.random.default_rng(block)
    scores = (rng.integers(-values, values, (4, 100)) / values).astype(np.float32)
    best = TopK(4, 9)
    order = rng.permutation(100)
    for start in range(0, 100, block):
        rows = order[start : start + block]
        best.add(np.repeat(np.arange(4), len(rows)), np.tile(rows, 4), scores[:, rows].ravel())
        if settle:
            best.rank(1)
    found = best.result(first_id=1000)
    for row in range(4):
        ids, expected = sorted_outright(scores[row], 9)
        assert found.ids[row].tolist() == (ids + 1000).tolist()
        assert found.scores[row].tolist() == expected
        assert best.rank(9)[row] == expected[8]


def triples(
    *values: tuple[int, int, float],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    queries, rows, scores = zip(*values, strict=True)
    return np.array(queries), np.array(rows), np.array(scores, np.float32)


def test_fewer_rows_than_k_end_in_minus_one() -> None:
    best = TopK(3, 3)
    best.add(*triples((0, 0, 0.1), (0, 1, 0.3), (2, 0, -0.2), (2, 1, 0.0)))
    found = best.result()
    assert found.ids.tolist() == [[1, 0, -1], [-1, -1, -1], [1, 0, -1]]
    assert found.scores[2].tolist() == pytest.approx([0.0, -0.2, -np.inf])
    assert best.rank(2).tolist() == pytest.approx([0.1, -np.inf, -0.2])


def test_minus_zero_ties_with_zero() -> None:
    best = TopK(1, 2)
    best.add(*triples((0, 5, 0.0), (0, 4, -0.0)))
    assert best.result().ids.tolist() == [[4, 5]]


def test_largest_row_and_query() -> None:
    best = TopK(MAX_QUERIES, 1)
    best.add(*triples((MAX_QUERIES - 1, MAX_ROWS - 1, -1.0), (0, 0, 1.0)))
    found = best.result()
    assert found.ids[[0, -1], 0].tolist() == [0, MAX_ROWS - 1]
    assert found.scores[[0, -1], 0].tolist() == [1.0, -1.0]
    with pytest.raises(ValueError, match=str(MAX_QUERIES)):
        TopK(MAX_QUERIES + 1, 1)


def test_nothing_added_gives_no_neighbours() -> None:
    found = TopK(3, 2).result()
    assert (found.ids == -1).all()
    assert found.scores.dtype == np.float32
