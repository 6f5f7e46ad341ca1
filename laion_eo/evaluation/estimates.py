"""Estimates from labels: precision, recall among the candidates, average precision, each interval.

A sample's label stands for as many candidates as its stratum has for each label. Shares are
estimated on either side of the filters by themselves, and how many candidates each side has is
known. Intervals are Wilson's (:mod:`laion_eo.intervals`), with as many labels as the weights are
worth; that of the average precision is of a Bayesian bootstrap within the strata (Rubin, 1981).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laion_eo.dataset.receipt import Estimate, KindOfImage
from laion_eo.intervals import count_for, effective, share_interval
from laion_eo.labels import Label

DRAWS = 400
"""Bootstrap samples."""
UNSEEN = 0.2
"""Labels of either kind that each stratum is taken to have besides, for the interval alone."""

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """n labelled candidates.

    Attributes:
        kept: bool, (n,): whether each was kept.
        right: bool, (n,): whether it is of the domain.
        weights: float64, (n,): how many candidates each stands for.
        strata: int64, (n,): the stratum of each.
        scores: float64, (n,).
        kinds: n words.
        kept_rows: How many candidates were kept, of all.
        dropped_rows: How many were dropped.
        confidence: How often an interval is to hold.
        seed: Of the bootstrap.
    """

    kept: Mask
    right: Mask
    weights: Numbers
    strata: NDArray[np.int64]
    scores: Numbers
    kinds: Sequence[str]
    kept_rows: int
    dropped_rows: int
    confidence: float = 0.9
    seed: int = 0

    def share(self, of: Mask, among: Mask, rows: int | None = None) -> Estimate | None:
        """Return the share of some labels among others; ``None`` where there are none of these."""
        count = int(among.sum())
        if not count:
            return None
        weights = self.weights[among]
        value = float(weights @ of[among] / weights.sum())
        # Numbers that stand for candidates are whole: a rounded 1 is 1.
        value = round(value, 12)
        low, high = share_interval(value, effective(weights), self.confidence, rows)
        return Estimate(value=value, low=low, high=high, count=count)

    def precision(self, kind: Mask | None = None) -> Estimate | None:
        """Return the share of right images among the kept ones, of one kind or of all."""
        if kind is None:
            return self.share(self.right, self.kept, self.kept_rows)
        return self.share(self.right, self.kept & kind)

    def recall(self, kind: Mask | None = None) -> Estimate | None:
        """Return the share of the right images that was kept, of one kind or of all.

        The bounds are those of the worst and the best case on both sides together.
        """
        right = self.right if kind is None else self.right & kind
        kept = self._count_of(right, self.kept, self.kept_rows)
        dropped = self._count_of(right, ~self.kept, self.dropped_rows)
        if kept is None or dropped is None or not right.any():
            return None
        value, low, high = (
            found / (found + lost) if found + lost else 0.0
            for found, lost in zip(kept, (dropped[0], dropped[2], dropped[1]), strict=True)
        )
        return Estimate(value=value, low=low, high=max(value, high), count=len(self.right))

    def _count_of(self, what: Mask, side: Mask, rows: int) -> tuple[float, float, float] | None:
        """Return how many of a side's candidates are something, and the bounds of that."""
        if not rows:
            return 0.0, 0.0, 0.0
        share = self.share(what, side, rows)
        return None if share is None else (share.value * rows, share.low * rows, share.high * rows)

    def average_precision(self) -> Estimate | None:
        """Return the average precision of the scores; ``None`` without an image of the domain."""
        if not self.right.any():
            return None
        value = average_precision(self.scores, self.right, self.weights)
        draw = np.random.default_rng(self.seed)
        members = [np.flatnonzero(self.strata == one) for one in np.unique(self.strata)]
        found = [self._redrawn(members, draw) for _ in range(DRAWS)]
        left_out = (1 - self.confidence) / 2
        low, high = np.quantile(found, [left_out, 1 - left_out])
        low, high = min(float(low), value), max(float(high), value)
        return Estimate(value=value, low=low, high=high, count=len(self.right))

    def _redrawn(self, members: Sequence[NDArray[np.int64]], draw: np.random.Generator) -> float:
        """Return the average precision with weights drawn anew in each stratum."""
        parts = []
        for some in members:
            # What a stratum has few of may be in no label of it, and yet matters.
            unseen = draw.choice(self.scores[some], 2)
            shares = draw.gamma(np.append(np.ones(len(some)), [UNSEEN, UNSEEN]))
            weights = shares / shares.sum() * self.weights[some].sum()
            right = np.append(self.right[some], [True, False])
            parts.append((np.append(self.scores[some], unseen), right, weights))
        scores, right, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        return average_precision(scores, right, weights)

    def of_kinds(self) -> tuple[KindOfImage, ...]:
        """Return what is known of each kind that a label names, the commonest first."""
        found = []
        for kind, count in Counter(filter(None, self.kinds)).most_common():
            mask = np.array([one == kind for one in self.kinds], dtype=bool)
            right = int((self.right & mask).sum())
            estimates = {"precision": self.precision(mask), "recall": self.recall(mask)}
            found.append(KindOfImage(kind=kind, count=count, right=right, **estimates))
        return tuple(found)


def average_precision(scores: Numbers, right: Mask, weights: Numbers) -> float:
    """Return the mean of the precision at each right row, ranked by score; ties count as one.

    Args:
        scores: float64, (n,).
        right: bool, (n,), at least one.
        weights: float64, (n,): how many rows each stands for.
    """
    order = np.argsort(-scores, kind="stable")
    weighed, ranked = weights[order], right[order]
    last = np.append(scores[order][1:] != scores[order][:-1], True)
    total, found = np.cumsum(weighed)[last], np.cumsum(weighed * ranked)[last]
    new = np.diff(np.concatenate([[0.0], found]))
    return round(min(1.0, float(new @ (found / total) / found[-1])), 12)


def more_needed(width: float, found: Estimate | None, confidence: float) -> int | None:
    """Return how many further labels an interval of a width takes.

    ``None`` where nothing is estimated, or no number is enough.
    """
    if found is None:
        return None
    if found.high - found.low <= width:
        return 0
    wanted = count_for(found.value, width, confidence)
    return None if wanted is None else max(1, wanted - found.count)


def weigh(labels: Sequence[Label]) -> dict[int, float]:
    """Return how many candidates each label of a sample stands for, by the image's id.

    A stratum none of which is labelled is taken to be as the others on its side are.
    """
    rows = {label.stratum: label.stratum_rows for label in labels}
    known = Counter(label.stratum for label in labels if label.label is not None)
    scale: dict[str, float] = {}
    for side in {stratum.partition(" ")[0] for stratum in rows}:
        mine = {stratum: count for stratum, count in rows.items() if stratum.startswith(side)}
        reached = sum(count for stratum, count in mine.items() if known[stratum])
        scale[side] = sum(mine.values()) / reached if reached else 0.0
    return {
        label.id: rows[label.stratum]
        / known[label.stratum]
        * scale[label.stratum.partition(" ")[0]]
        for label in labels
        if label.label is not None
    }
