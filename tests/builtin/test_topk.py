from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.builtin import topk
from laion_eo.builtin.topk import RunningTopK


def sorted_outright(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], list[float]]:
    """The first row's k best, by a plain sort: best first, equal scores by id."""
    order = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i))[:k]
    return np.array(order), [float(scores[i]) for i in order]


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("values", [3, 10_000])
def test_equals_a_plain_sort_whatever_the_blocks_and_ties(
    block: int, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk, "COMPACT_AT", 20)
    rng = np.random.default_rng(block)
    scores = (rng.integers(0, values, (4, 100)) / values).astype(np.float32)
    best = RunningTopK(4, 9)
    for start in range(0, 100, block):
        best.add(scores[:, start : start + block], start)
    found = best.result()
    for row in range(4):
        ids, expected = sorted_outright(scores[row], 9)
        assert found.ids[row].tolist() == ids.tolist()
        assert found.scores[row].tolist() == expected


def test_fewer_rows_than_k_end_in_minus_one() -> None:
    best = RunningTopK(2, 5)
    best.add(np.array([[0.1, 0.3], [0.2, 0.0]], np.float32), 10)
    found = best.result()
    assert found.ids.tolist() == [[11, 10, -1, -1, -1], [10, 11, -1, -1, -1]]
    assert np.isneginf(found.scores[:, 2:]).all()


def test_nothing_added_gives_no_neighbours() -> None:
    found = RunningTopK(3, 2).result()
    assert (found.ids == -1).all()
    assert found.scores.dtype == np.float32
