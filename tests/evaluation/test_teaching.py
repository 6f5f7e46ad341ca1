from __future__ import annotations

from dataclasses import replace

import pytest
from green_runs import GreenRun

from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.teaching import choose_teaching
from laion_eo.labels import TEACHING, Label

pytest.importorskip("sklearn", reason="the extra `learn` is not installed")


@pytest.fixture
def candidates(green_run_once: GreenRun) -> Candidates:
    return Candidates(green_run_once.folder, green_run_once.registry)


def test_the_top_comes_first(candidates: Candidates, green_run_once: GreenRun) -> None:
    chosen = choose_teaching(candidates, 10, ())
    truth = green_run_once.truth()
    assert all(truth[label.id] for label in chosen)  # green is what scores high
    assert {label.plan for label in chosen} == {TEACHING}
    assert {label.label for label in chosen} == {None}
    assert choose_teaching(candidates, 10, ()) == chosen


def test_then_what_it_is_least_sure_of(candidates: Candidates, green_run_once: GreenRun) -> None:
    truth = green_run_once.truth()
    known = [replace(label, label=truth[label.id]) for label in choose_teaching(candidates, 15, ())]
    more = choose_teaching(candidates, 10, known)
    assert not {label.id for label in known} & {label.id for label in more}
    assert any(not truth[label.id] for label in more)


def test_nothing_is_chosen_twice(candidates: Candidates) -> None:
    # Planned, though nobody has labelled it yet.
    pending = [Label(number, plan=TEACHING) for number in candidates.ids[:40]]
    chosen = choose_teaching(candidates, 100, pending)
    assert len(chosen) == len({label.id for label in chosen})
    assert not {label.id for label in pending} & {label.id for label in chosen}


def test_what_another_filter_dropped_teaches_nothing(candidates: Candidates) -> None:
    dropped = {n for n, by in zip(candidates.ids, candidates.dropped_by, strict=True) if by}
    assert dropped  # the small one; copies are no candidates
    chosen = choose_teaching(candidates, 1000, ())
    assert len(chosen) == len(candidates.ids) - len(dropped)
    assert not dropped & {label.id for label in chosen}
