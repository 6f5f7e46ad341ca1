from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.kinds import RetrieverConfig, merge_neighbors, no_neighbors
from laion_eo.types import Neighbors

SCORES = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.25000003, 1.0])
Part = list[list[float]]


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[Part], int]:
    """Three parts of a pool, as the scores of some queries with their rows, and k."""
    queries, k = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    parts = []
    for _ in range(3):
        rows = draw(st.integers(0, 7))
        row = st.lists(SCORES, min_size=rows, max_size=rows)
        parts.append(draw(st.lists(row, min_size=queries, max_size=queries)))
    return parts, k


def neighbors(part: Part, first: int, k: int) -> Neighbors:
    """The k best of each query by a plain sort; the rows of the part begin at ``first``."""
    found = no_neighbors(len(part), k)
    for query, scores in enumerate(part):
        order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
        found.ids[query, : len(order)] = np.array(order, np.int64) + first
        found.scores[query, : len(order)] = [scores[row] for row in order]
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(made=pools())
def test_however_the_parts_are_merged_the_best_of_all_are_found(
    made: tuple[list[Part], int],
) -> None:
    parts, k = made
    firsts = np.cumsum([100, *(len(part[0]) for part in parts)]).tolist()
    a, b, c = (neighbors(part, first, k) for part, first in zip(parts, firsts[:3], strict=True))
    whole = [[*chain(*rows)] for rows in zip(*parts, strict=True)]
    expected = neighbors(whole, 100, k)
    for merged in (
        merge_neighbors(merge_neighbors(a, b), c),
        merge_neighbors(a, merge_neighbors(b, c)),
    ):
        np.testing.assert_array_equal(merged.ids, expected.ids)
        np.testing.assert_array_equal(merged.scores, expected.scores)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(made=pools())
def test_a_part_without_neighbours_changes_nothing(made: tuple[list[Part], int]) -> None:
    (part, *_), k = made
    found, none = neighbors(part, 5, k), no_neighbors(len(part), k)
    before = Neighbors(found.scores.copy(), found.ids.copy())
    for merged in (merge_neighbors(found, none), merge_neighbors(none, found)):
        np.testing.assert_array_equal(merged.ids, before.ids)
        np.testing.assert_array_equal(merged.scores, before.scores)


def test_the_options_bound_the_hits() -> None:
    plain, deep = RetrieverConfig(k=7), RetrieverConfig(k=7, until=0.5)
    assert (plain.asked_at_most(), plain.most_hits(3)) == (7, 21)
    assert (deep.asked_at_most(), deep.most_hits(3)) == (70, 210)
    distinct = RetrieverConfig(k=7, distinct=0.98, max_k=9)
    assert (distinct.asked_at_most(), distinct.most_hits(3)) == (9, 21)
    assert RetrieverConfig(k=7, hops=3, hop_queries=10).most_hits(3) == 21 + 2 * 10 * 8
