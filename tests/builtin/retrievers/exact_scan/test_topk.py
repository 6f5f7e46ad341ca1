from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.topk import (
    MAX_QUERIES,
    MAX_ROWS,
    QUERIES_TOGETHER,
    Candidates,
    Hits,
    joined,
    pack,
    unpack,
)

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


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


def hits_of(queries: Sequence[int], rows: Sequence[int], scores: Sequence[float]) -> Hits:
    return Hits(np.array(queries, np.int32), np.array(rows, np.int32), np.array(scores, np.float32))


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
    np.testing.assert_array_equal(best.scores_at(9), found.scores[:, 8])
    assert (best.scores_at(101) == -np.inf).all()


def test_fewer_rows_than_k_end_in_minus_one(threads: Executor) -> None:
    best = Candidates(3, threads)
    best.add(one_query(0, np.array([0, 1]), np.array([0.1, 0.3], np.float32)))
    best.add(one_query(2, np.array([0]), np.array([-0.2], np.float32)))
    best.add(one_query(2, np.array([1]), np.array([0.0], np.float32)))
    assert best.scores_at(3).tolist() == 3 * [-np.inf]
    assert best.scores_at(2).tolist() == pytest.approx([0.1, -np.inf, -0.2])
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
    pending = Candidates(queries, threads)
    for rows in np.array_split(np.random.default_rng(1).permutation(50).astype(np.int32), 4):
        every = np.repeat(np.arange(queries, dtype=np.int32), len(rows))
        pending.add(Hits(every, np.tile(rows, queries), scores[:, rows].ravel()))
    ahead, behind = pending.split(7)
    assert (np.diff(ahead.queries) >= 0).all()
    assert (np.diff(behind.queries) >= 0).all()
    for query in range(queries):
        order, _ = sorted_outright(scores[query])
        assert ahead.rows[ahead.queries == query].tolist() == order[:7]
        assert behind.rows[behind.queries == query].tolist() == order[7:]
    for part in (ahead, behind):
        np.testing.assert_array_equal(part.scores, scores[part.queries, part.rows])
    assert pending.count == queries * 50


def test_candidates_of_some_queries_only(threads: Executor) -> None:
    pending = Candidates(MAX_QUERIES, threads)
    rows = np.array([0, MAX_ROWS - 1], np.int32)
    ends = np.array([0, MAX_QUERIES - 1], np.int32)
    pending.add(Hits(ends, rows, np.array([1.0, -1.0], np.float32)))
    assert pending.scores_at(1)[[0, 1, -1]].tolist() == [1.0, -np.inf, -1.0]
    assert pending.best(1).ids[[0, 1, -1], 0].tolist() == [0, -1, MAX_ROWS - 1]
    with pytest.raises(ValueError, match=str(MAX_QUERIES)):
        Candidates(MAX_QUERIES + 1, threads)


def test_nothing_added_gives_no_neighbours(threads: Executor) -> None:
    found = Candidates(3, threads).best(2)
    assert (found.ids == -1).all()
    assert found.scores.dtype == np.float32


def test_the_bits_of_a_key() -> None:
    """As the picture in the module draws them: query, score, row."""
    key = int(pack(hits_of([5], [9], [1.0]))[0])
    assert key >> 50 == 5
    assert key & (2**18 - 1) == 9
    assert key >> 18 & (2**32 - 1) == 0b0_10000000_11111111111111111111111


@QUICK
@given(
    triples=st.lists(
        st.tuples(st.integers(0, MAX_QUERIES - 1), st.integers(0, MAX_ROWS - 1), FINITE),
        min_size=1,
        max_size=30,
    )
)
def test_keys_sort_as_triples_do_and_lose_nothing(triples: list[tuple[int, int, float]]) -> None:
    queries, rows, scores = zip(*triples, strict=True)
    hits = hits_of(queries, rows, scores)
    keys = pack(hits)
    for before, after in zip(hits, unpack(keys), strict=True):
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype
    ordered = unpack(np.sort(keys))
    expected = sorted(zip(queries, (-score for score in scores), rows, strict=True))
    assert list(zip(ordered.queries, -ordered.scores, ordered.rows, strict=True)) == expected


@st.composite
def additions(draw: st.DrawFn) -> tuple[NDArray[np.float32], list[list[int]], int]:
    """Scores of a few queries with many ties, the order in which rows are added, and k."""
    queries, rows = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    few = draw(st.lists(FINITE, min_size=1, max_size=4))
    row = st.lists(st.sampled_from(few), min_size=rows, max_size=rows)
    scores = draw(st.lists(row, min_size=queries, max_size=queries))
    order = draw(st.permutations(range(rows)))
    cuts = sorted(draw(st.sets(st.integers(0, rows), max_size=3)) | {0, rows})
    parts = [order[start:stop] for start, stop in pairwise(cuts)]
    return np.array(scores, np.float32), parts, draw(st.integers(1, 15))


@QUICK
@given(made=additions(), keeps=st.booleans())
def test_whatever_is_added_the_k_best_are_those_of_a_plain_sort(
    made: tuple[NDArray[np.float32], list[list[int]], int], keeps: bool
) -> None:
    scores, parts, k = made
    with ThreadPoolExecutor(1) as threads:
        best = Candidates(len(scores), threads)
        for part in parts:
            rows = np.array(part, np.int64)
            best.add(joined(one_query(query, rows, row[rows]) for query, row in enumerate(scores)))
            if keeps:
                best.keep(k)
        found = best.best(k)
    for query, row in enumerate(scores):
        order, expected = sorted_outright(row)
        there = min(k, len(order))
        assert found.ids[query].tolist() == order[:k] + [-1] * (k - there)
        assert found.scores[query].tolist() == expected[:k] + [-np.inf] * (k - there)
