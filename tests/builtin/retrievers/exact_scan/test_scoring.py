from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from exact import nearest_float32
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.builtin.retrievers.exact_scan.scoring import (
    ROWS_TOGETHER,
    ExactScores,
    Sums,
    choose_sums,
    gather,
    pack,
    sums_by_numpy,
    sums_by_torch,
    unpack,
)
from laion_eo.builtin.retrievers.exact_scan.topk import MAX_QUERIES, MAX_ROWS, Hits, joined
from laion_eo.testing import random_unit

QUERIES = random_unit(30, 96)
ROWS = random_unit(400, 96, seed=1)


@pytest.mark.parametrize("doubt", [None, 1.0])
@pytest.mark.parametrize("sums", [None, partial(sums_by_numpy, pairs_together=8)])
def test_scores_are_rounded_correctly(doubt: float | None, sums: Sums | None) -> None:
    """Against exact fractions; with the doubt raised, every sum is made again."""
    exact = ExactScores(QUERIES, sums, doubt)
    wanted = [(query, row) for row in range(0, 400, 41) for query in (29, 0, 3) if row != query]
    queries, rows = np.array(wanted, np.int32).T
    found = joined(exact(ROWS, Hits(queries, rows, np.zeros(len(rows), np.float32))))
    assert sorted(zip(found.queries, found.rows, strict=True)) == sorted(wanted)
    for query, row, score in zip(*found, strict=True):
        assert score == nearest_float32(QUERIES[query], ROWS[row])


POWERS = st.builds(
    lambda sign, mantissa, exponent: sign * mantissa * 2.0**exponent,
    st.sampled_from([-1, 1]),
    st.integers(1, 2**24 - 1),
    st.integers(-48, -25),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pairs=st.lists(st.tuples(POWERS, POWERS), min_size=1, max_size=8))
def test_sums_of_any_numbers_are_rounded_correctly(pairs: list[tuple[float, float]]) -> None:
    """Numbers of all sizes, so that sums cancel, and lie beside the middle of two float32."""
    query, row = np.array(pairs, np.float32).T.copy()
    scale = max(1.0, float(np.linalg.norm(query)), float(np.linalg.norm(row)))
    query, row = query / np.float32(scale), row / np.float32(scale)
    nothing = np.zeros(1, np.int32)
    hits = Hits(nothing, nothing, np.zeros(1, np.float32))
    for sums in (sums_by_numpy, None):
        (found,) = ExactScores(query[None], sums)(row[None], hits)
        assert found.scores[0] == nearest_float32(query, row)


def test_many_rows_are_scored_in_parts() -> None:
    """More than are widened together, of many queries, some rows for none."""
    rng = np.random.default_rng(0)
    rows = random_unit(3 * ROWS_TOGETHER, 8)
    queries = random_unit(70, 8, seed=1)
    wanted = np.argwhere(rng.random((70, len(rows))) < 0.01).astype(np.int32)
    pairs = Hits(wanted[:, 0], wanted[:, 1], np.zeros(len(wanted), np.float32))
    parts = list(ExactScores(queries)(rows.astype(np.float16), pairs))
    assert len(parts) == 2  # about half of the rows are wanted by a query
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


def test_the_bits_of_a_packed_pair() -> None:
    """As the picture in the module draws them: part, query, row of the part."""
    queries = np.array([5, MAX_QUERIES - 1], np.int32)
    positions = np.array([3 * ROWS_TOGETHER + 9, MAX_ROWS - 1], np.uint32)
    packed = pack(queries, positions)
    assert int(packed[0]) == 3 << 25 | 5 << 11 | 9
    assert int(packed[1]) == 2**32 - 1
    back = unpack(packed)
    assert back[0].tolist() == queries.tolist()
    assert back[1].tolist() == [9, ROWS_TOGETHER - 1]


def test_the_sums_are_torchs_where_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    chosen: list[Callable[..., object]] = []
    for available in (False, True):
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda there=available: there)
        chosen.append(choose_sums())
    monkeypatch.setitem(sys.modules, "torch", None)
    assert [*chosen, choose_sums()] == [sums_by_numpy, sums_by_torch, sums_by_numpy]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f2", ">f4", ">f8", "g"])
@pytest.mark.parametrize("torch", [True, False])
def test_rows_are_gathered_in_float32(
    dtype: str, torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch:
        monkeypatch.setitem(sys.modules, "torch", None)
    vectors, rows = ROWS.astype(dtype), np.array([399, 0, 7])
    found = gather(vectors, rows)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors[rows].astype(np.float32))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_beside_the_middle_of_two_float32_is_rounded_once(sign: int) -> None:
    """Float64 cannot tell it from the middle, which goes to the even one."""
    for small, expected in ((2.0**-80, 1 + 2.0**-23), (0.0, 1.0), (-(2.0**-80), 1.0)):
        row = np.array([[1, 2.0**-12, small * 2.0**40]], np.float32) * np.float32(sign)
        query = np.array([[1, 2.0**-12, 2.0**-40]], np.float32)
        nothing = np.zeros(1, np.int32)
        (found,) = ExactScores(query)(row, Hits(nothing, nothing, np.zeros(1, np.float32)))
        assert found.scores[0] == sign * expected
