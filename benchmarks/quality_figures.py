"""Precision, recall and the like of ``quality.py``, over pools, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from quality_pools import Collection, Ids, Mask

SAMPLES = 400
CONFIDENCE = 0.9
ROWS = ("right", "kept", "there")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """What was tried: the recipe, the pool and the anchors, but for the seed."""

    recipe: str
    kind: str
    share: float
    anchors: int | None


@dataclass(frozen=True)
class Outcome:
    """What one trial did with a pool.

    Attributes:
        case: What was tried.
        places: int64, (n,), the pool's pictures.
        found: bool, (n,): the candidates.
        kept: bool, (n,): those that were kept.
        told: bool, (n,): those that were labelled.
        scores: float64, (n,): what the recipe ranks by; NaN where there is nothing.
    """

    case: Case
    places: Ids
    found: Mask
    kept: Mask
    told: Mask
    scores: Floats


@dataclass(frozen=True)
class Figure:
    """A mean over pools, and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return ""
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}]"


def _short(value: float) -> str:
    text = f"{value:.3f}"
    return "1" if text == "1.000" and value >= 1 else text.removeprefix("0")


@dataclass(frozen=True)
class Figures:
    """Of one case, over all its pools.

    Attributes:
        precision: Share of satellite images among those that were kept.
        recall: Share of the pool's satellite images that was kept.
        f1: Of these two.
        found_recall: Share of the candidates' satellite images that was kept.
        ap: Average precision over the candidates.
        candidates: Share of satellite images among the candidates.
        unlabelled: The precision on the rows that were not labelled, of all pools together: one
            pool has few of them that are right.
        unlabelled_recall: The recall of the candidates' satellite images, likewise.
        rest: These rows, over all pools: those kept that are right, all kept, all that are right.
    """

    precision: Figure
    recall: Figure
    f1: Figure
    found_recall: Figure
    ap: Figure
    candidates: Figure
    unlabelled: Figure
    unlabelled_recall: Figure
    rest: tuple[int, ...]


class Weights:
    """Bootstrap samples of pictures, within each group (a source, or a kind of hard picture).

    The pools of one case share pictures, so all pools get the same sample.
    """

    def __init__(self, world: Collection, seed: int = 0) -> None:
        self.truth = world.truth
        rng = np.random.default_rng(seed)
        groups = np.array([shown.group for shown in world.shown])
        self.samples = np.ones((SAMPLES + 1, len(groups)), np.float32)  # the first is no sample
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group)
            drawn = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), SAMPLES)
            self.samples[1:, members] = drawn

    def figures(self, outcomes: Sequence[Outcome]) -> Figures:
        """Return the figures of the pools of one case."""
        found: dict[str, list[Floats]] = {}
        for outcome in outcomes:
            for name, values in self._of(outcome).items():
                found.setdefault(name, []).append(values)
        together = [np.sum([self._rest(outcome)[part] for outcome in outcomes], 0) for part in ROWS]
        right, kept, there = together
        return Figures(
            **{name: _figure(np.array(values)) for name, values in found.items()},
            unlabelled=_figure(_ratio(right, kept)[None]),
            unlabelled_recall=_figure(_ratio(right, there)[None]),
            rest=tuple(int(counts[0]) for counts in together),
        )

    def _of(self, outcome: Outcome) -> dict[str, Floats]:
        truth, weights = self.truth[outcome.places], self.samples[:, outcome.places]
        kept, found = outcome.kept, outcome.found

        def share(of: Mask, among: Mask) -> Floats:
            return _ratio(weights[:, of & among].sum(1), weights[:, among].sum(1))

        precision, recall = share(truth, kept), share(kept, truth)
        # Where nothing is kept, or nothing right, there is no precision or it is 0: F1 is 0.
        return {
            "precision": precision,
            "recall": recall,
            "f1": np.nan_to_num(_ratio(2 * precision * recall, precision + recall)),
            "found_recall": share(kept, truth & found),
            "ap": self._average_precision(outcome, truth, weights),
            "candidates": share(truth, found),
        }

    def _rest(self, outcome: Outcome) -> dict[str, Floats]:
        """Count the rows without a label: those kept that are right, all kept, all that are right.

        The last are those among the candidates.
        """
        truth, weights = self.truth[outcome.places], self.samples[:, outcome.places]
        kept, rest = outcome.kept & ~outcome.told, outcome.found & ~outcome.told
        masks = zip(ROWS, (kept & truth, kept, rest & truth), strict=True)
        return {name: weights[:, mask].sum(1) for name, mask in masks}

    def _average_precision(
        self, outcome: Outcome, truth: Mask, weights: NDArray[np.float32]
    ) -> Floats:
        there = np.flatnonzero(outcome.found & np.isfinite(outcome.scores))
        if not truth[there].any():
            return np.full(len(weights), np.nan)
        order = there[np.argsort(-outcome.scores[there], kind="stable")]
        ranked, right = weights[:, order], truth[order]
        with np.errstate(invalid="ignore"):
            precision = np.cumsum(ranked * right, 1) / np.cumsum(ranked, 1)
            hits = ranked[:, right]
            values: Floats = np.nansum(precision[:, right] * hits, 1) / hits.sum(1)
        return values


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        ratio: Floats = part / whole
    return ratio


def _figure(values: Floats) -> Figure:
    """Return the mean over pools, (p, 1 + samples), of the pictures as they are, and its spread."""
    if np.isnan(values).all():
        return Figure(np.nan, np.nan, np.nan)
    with np.errstate(invalid="ignore"):
        means = np.nanmean(values, axis=0)
    outside = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(means, [outside, 1 - outside])
    return Figure(float(means[0]), float(low), float(high))


def kept_of_groups(world: Collection, outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the share of each group's pictures that was kept, over the pools of one case."""
    groups = np.array([shown.group for shown in world.shown])
    kept, total = dict[str, int](), dict[str, int]()
    for outcome in outcomes:
        mine = groups[outcome.places]
        for group in np.unique(mine).tolist():
            total[group] = total.get(group, 0) + int((mine == group).sum())
            kept[group] = kept.get(group, 0) + int((mine[outcome.kept] == group).sum())
    return {group: kept[group] / total[group] for group in total}


def worst(world: Collection, outcomes: Sequence[Outcome], count: int) -> list[tuple[str, int]]:
    """Return the other pictures that were kept in most pools, as ``group: label``, with how many.

    Pictures of one group and label are counted together.
    """
    tally = dict[str, int]()
    for outcome in outcomes:
        for place in outcome.places[outcome.kept].tolist():
            shown = world.shown[place]
            if not shown.is_satellite:
                name = f"{shown.group} ({shown.source}, {shown.key})"
                tally[name] = tally.get(name, 0) + 1
    return sorted(tally.items(), key=lambda one: (-one[1], one[0]))[:count]
