from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.sampling import allocate, draw_sample, strata_of
from laion_eo.labels import TEACHING, Label


@dataclass
class Rows:
    """Candidates with these verdicts; the first score highest."""

    kept: NDArray[np.bool_]
    ids: list[int] = field(default_factory=list)
    digest: str = "0123456789abcdef"
    seed: int = 0

    def __post_init__(self) -> None:
        self.ids = [10 * place for place in range(len(self.kept))]
        self.sums = -np.arange(len(self.kept), dtype=np.float64)


def rows(kept: int, dropped: int) -> Candidates:
    return cast("Candidates", Rows(np.arange(kept + dropped) < kept))


def test_strata_part_the_candidates_by_verdict_and_score() -> None:
    strata = strata_of(rows(40, 10), (4, 2))
    assert [(one.name, len(one.places)) for one in strata] == [
        ("kept 1/4", 10), ("kept 2/4", 10), ("kept 3/4", 10), ("kept 4/4", 10),
        ("dropped 1/2", 5), ("dropped 2/2", 5),
    ]  # fmt: skip
    assert sorted(strata[0].places) == list(range(10))


def test_a_sample_is_of_so_many_images_each_once() -> None:
    drawn = draw_sample(rows(400, 800), 60, ())
    assert len({one.id for one in drawn}) == 60
    sides = Counter(one.stratum.split()[0] for one in drawn)
    assert sides == {"kept": 40, "dropped": 20}
    assert {one.stratum_rows for one in drawn} == {100, 400}
    assert {one.label for one in drawn} == {None}
    assert draw_sample(rows(400, 800), 60, ()) == drawn


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 80))
def test_any_count_of_any_candidates(kept: int, dropped: int, count: int) -> None:
    drawn = draw_sample(rows(kept, dropped), count, ())
    assert len(drawn) == min(count, kept + dropped)
    totals = {one.stratum: one.stratum_rows for one in drawn}
    if count > 1:  # no side is left out: its candidates would count for nothing
        assert any(name.startswith("kept") for name in totals) == (kept > 0)
        assert any(name.startswith("dropped") for name in totals) == (dropped > 0)


def test_a_second_plan_extends_the_sample() -> None:
    candidates = rows(400, 800)
    first = [replace(one, label=True) for one in draw_sample(candidates, 24, ())]
    more = draw_sample(candidates, 36, first)
    assert not {one.id for one in first} & {one.id for one in more}
    together = Counter(one.stratum for one in [*first, *more])
    assert together == Counter(one.stratum for one in draw_sample(candidates, 60, ()))


def test_what_taught_may_be_drawn_too() -> None:
    candidates = rows(20, 0)
    known = [Label(number, True, plan=TEACHING) for number in candidates.ids[:10]]
    drawn = draw_sample(candidates, 20, known)
    assert len(drawn) == 20
    assert sum(one.label is True for one in drawn) == 10
    assert {one.plan for one in drawn} == {"01234567"}


def test_other_verdicts_are_another_sample() -> None:
    first = [replace(one, label=True) for one in draw_sample(rows(40, 80), 12, ())]
    later = rows(60, 60)
    later.digest = "f" * 16
    assert {one.plan for one in draw_sample(later, 12, first)} == {"ffffffff"}


@pytest.mark.parametrize(("kept", "dropped", "wanted"), [(5, 500, [5, 25]), (500, 3, [27, 3])])
def test_a_small_side_is_drawn_whole(kept: int, dropped: int, wanted: list[int]) -> None:
    assert allocate(strata_of(rows(kept, dropped), (1, 1)), 30) in ([*wanted], [20, 10], [27, 3])
    assert allocate(strata_of(rows(kept, dropped), (1, 1)), kept + dropped) == [kept, dropped]
