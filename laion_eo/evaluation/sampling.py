"""Plans an unbiased estimate: a random sample, stratified by verdict and score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laion_eo.evaluation.candidates import Candidates
from laion_eo.labels import Label

SIDES = ("kept", "dropped")
TIERS = (4, 2)
"""Strata of the kept candidates, and of the dropped ones, by score; one each in a small sample."""
KEPT_SHARE = 2 / 3
"""Share of a sample that is drawn among the kept ones: they decide the precision."""
PER_STRATUM = 2
"""Labels of a stratum at least, or there are fewer strata."""


@dataclass(frozen=True)
class Stratum:
    """Some candidates, of one verdict and of nearly equal scores.

    Attributes:
        name: Such as ``kept 2/4``: the second highest quarter of those kept.
        places: int64, (m,): the rows, in the random order in which they are drawn.
    """

    name: str
    places: NDArray[np.int64]

    @property
    def side(self) -> str:
        """Whether they were kept or dropped."""
        return self.name.partition(" ")[0]


def strata_of(candidates: Candidates, tiers: tuple[int, int]) -> list[Stratum]:
    """Part the candidates by verdict and score; each order is seeded.

    Args:
        candidates: Of the run.
        tiers: Strata of the kept ones, and of the dropped ones.
    """
    found = []
    best_first = np.argsort(-candidates.sums, kind="stable")
    for side, count in zip(SIDES, tiers, strict=True):
        members = best_first[candidates.kept[best_first] == (side == "kept")]
        parts = np.array_split(members, min(count, len(members))) if len(members) else []
        for number, part in enumerate(parts, 1):
            name = f"{side} {number}/{count}"
            draw = np.random.default_rng([candidates.seed, *name.encode()])
            found.append(Stratum(name, draw.permutation(part)))
    return found


def draw_sample(candidates: Candidates, count: int, labels: Sequence[Label]) -> list[Label]:
    """Choose candidates at random, to be labelled for an unbiased estimate.

    A sample of the same verdicts that the labels have already is extended: both together are one.

    Args:
        candidates: Of the run.
        count: How many are wanted.
        labels: What was planned and labelled before.
    """
    plan = candidates.digest[:8]
    before = [label for label in labels if label.plan == plan and label.is_sampled]
    strata = strata_of(candidates, _tiers(before, count))
    drawn = {label.id for label in before}
    known = {label.id: label for label in labels}
    sizes = [len(stratum.places) for stratum in strata]
    had = [sum(candidates.ids[p] in drawn for p in stratum.places) for stratum in strata]
    wanted = allocate(strata, min(count + sum(had), sum(sizes)))
    chosen = []
    for stratum, total in zip(strata, wanted, strict=True):
        for place in stratum.places[:total].tolist():
            number = candidates.ids[place]
            if number in drawn:
                continue
            about = known.get(number, Label(number))
            chosen.append(
                Label(number, about.label, about.kind, plan, stratum.name, len(stratum.places))
            )
    return chosen


def _tiers(before: Sequence[Label], count: int) -> tuple[int, int]:
    """Return into how many strata each side is parted: as before, if there was a sample."""
    for label in before:
        kept, dropped = TIERS if not label.stratum.endswith("/1") else (1, 1)
        return kept, dropped
    return TIERS if count >= PER_STRATUM * sum(TIERS) else (1, 1)


def allocate(strata: Sequence[Stratum], count: int) -> list[int]:
    """Return how many of each stratum are drawn: in proportion to its size on either side.

    Args:
        strata: Of both sides.
        count: In all; at most as many as there are candidates.
    """
    sizes = np.array([len(stratum.places) for stratum in strata], dtype=np.int64)
    is_kept = np.array([stratum.side == "kept" for stratum in strata], dtype=bool)
    kept, dropped = int(sizes[is_kept].sum()), int(sizes[~is_kept].sum())
    share = round(count * KEPT_SHARE)
    if dropped and share == count and count > 1:
        share -= 1
    among_kept = min(kept, max(share, count - dropped))
    found = np.zeros(len(strata), dtype=np.int64)
    for side, total in ((is_kept, among_kept), (~is_kept, count - among_kept)):
        found[side] = _in_proportion(sizes[side], total)
    return [int(number) for number in found]


def _in_proportion(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Part a count in proportion to sizes, by largest remainders."""
    if not len(sizes) or not count:
        return np.zeros(len(sizes), dtype=np.int64)
    exact = count * sizes / sizes.sum()
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = count - int(found.sum())
    found[np.argsort(-(exact - found), kind="stable")[:left]] += 1
    return found
