"""Plans what to label so that a filter learns most: the top first, then where it is least sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.builtin.filters.label_model import Features, Lesson
from laion_eo.evaluation.candidates import Candidates
from laion_eo.kinds import Filter
from laion_eo.labels import TEACHING, Label, labelled, taught

FROM_THE_TOP = 15
"""Labels of the images that score highest, or a quarter of them if that is more, come first."""
TOGETHER = 10
"""Images chosen together where a regression is least sure: they are to differ."""
SHORTLIST = 2
"""How many times as many are looked at, to choose those that differ most."""

Places = NDArray[np.int64]


def choose_teaching(candidates: Candidates, count: int, labels: Sequence[Label]) -> list[Label]:
    """Choose the candidates whose labels would teach the filter ``labels`` most.

    Args:
        candidates: Of the run.
        count: How many are wanted.
        labels: What was planned and labelled before.
    """
    table = candidates.table.filter(pa.array(_seen_by_labels(candidates)))
    features = candidates.features_of(table)
    ids = table["id"].to_pylist()
    planned = {label.id for label in labels}
    free = np.array([number not in planned for number in ids], dtype=bool)
    learnt = sum(not label.is_sampled for label in labels)
    top = min(count, max(FROM_THE_TOP, count // 4) - learnt)
    order = np.argsort(-features.sums(), kind="stable")
    chosen = differing(order[free[order]], max(top, 0), features)
    known = labelled(taught(labels)[0])
    unsure = _doubts(features, {p: known[n] for p, n in enumerate(ids) if n in known}, candidates)
    while len(chosen) < min(count, int(free.sum())):
        rest = np.setdiff1d(np.flatnonzero(free), chosen)
        rest = rest[np.argsort(unsure[rest], kind="stable")]
        chosen += differing(rest, min(TOGETHER, count - len(chosen)), features)
    return [Label(ids[place], plan=TEACHING) for place in chosen]


def _doubts(
    features: Features, known: dict[int, bool], candidates: Candidates
) -> NDArray[np.float64]:
    """Return how sure a regression is of each row, (n,): the less, the more its label teaches."""
    places = np.array(sorted(known), dtype=np.int64)
    answers = np.array([known[place] for place in places.tolist()], dtype=bool)
    lesson = Lesson.of(features, places, answers, candidates.seed)
    if not lesson.is_two_sided:  # nothing to compare with: those that score highest teach most
        return -features.sums()
    regression = lesson.regression()
    parts = [regression.decide(part) for part in features.batches()]
    doubts: NDArray[np.float64] = np.abs(np.concatenate([np.zeros(0), *parts]))
    return doubts


def differing(ranked: Places, count: int, features: Features) -> list[int]:
    """Return the first of some rows, and from a short list those that differ most from each other.

    Args:
        ranked: int64, (m,), the best first.
        count: How many are wanted.
        features: Of the rows.
    """
    shortlist = ranked[: SHORTLIST * count]
    if not len(shortlist) or count < 1:
        return []
    vectors = features.data.vectors(features.data.table.take(pa.array(shortlist)))
    chosen, nearest = [0], vectors @ vectors[0]
    while len(chosen) < min(count, len(shortlist)):
        nearest[chosen] = np.inf
        farthest = int(np.argmin(nearest))
        chosen.append(farthest)
        nearest = np.maximum(nearest, vectors @ vectors[farthest])
    return [int(place) for place in shortlist[chosen]]


def _seen_by_labels(candidates: Candidates) -> NDArray[np.bool_]:
    """Return the candidates that the filter would judge: those that no other filter dropped."""
    replaced = {
        entry.cls.name
        for entry in candidates.registry.entries
        if issubclass(entry.cls, Filter) and entry.cls.gives_way_to_labels
    }
    return np.array([by is None or by in replaced for by in candidates.dropped_by], dtype=bool)
