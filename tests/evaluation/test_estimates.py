from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.dataset.receipt import Estimate
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.estimates import Sample, average_precision, more_needed, weigh
from laion_eo.evaluation.sampling import draw_sample
from laion_eo.labels import Label


def sample(kept: str, right: str, weights: list[float], rows: tuple[int, int]) -> Sample:
    count = len(kept)
    return Sample(
        kept=np.array([one == "k" for one in kept]),
        right=np.array([one == "1" for one in right]),
        weights=np.array(weights, dtype=np.float64),
        strata=np.array([one == "k" for one in kept], dtype=np.int64),
        scores=np.arange(count, 0, -1, dtype=np.float64),
        kinds=["field" if one == "1" else "" for one in right],
        kept_rows=rows[0],
        dropped_rows=rows[1],
    )


def test_shares_are_of_the_candidates_not_of_the_labels() -> None:
    # Of 90 kept the labels say 3 in 4 are right, of 400 dropped 1 in 4.
    found = sample("kkkkdddd", "11101000", [22.5] * 4 + [100.0] * 4, (90, 400))
    precision, recall = found.precision(), found.recall()
    assert precision and recall
    assert precision.value == pytest.approx(0.75)
    assert recall.value == pytest.approx(67.5 / (67.5 + 100))
    assert precision.low < 0.75 < precision.high
    assert recall.low < recall.value < recall.high


def test_unequal_weights_are_worth_less() -> None:
    equal = sample("k" * 8, "11111110", [1.0] * 8, (800, 0)).precision()
    unequal = sample("k" * 8, "11111110", [1.0] * 7 + [5.0], (800, 0)).precision()
    assert equal and unequal
    assert unequal.value == pytest.approx(7 / 12)
    assert unequal.high - unequal.low > equal.high - equal.low


def test_what_nobody_labelled_is_not_known() -> None:
    assert sample("dd", "10", [1.0] * 2, (5, 2)).precision() is None
    assert sample("kk", "10", [1.0] * 2, (2, 5)).recall() is None
    assert sample("kk", "00", [1.0] * 2, (2, 0)).recall() is None
    assert sample("kk", "00", [1.0] * 2, (2, 0)).average_precision() is None
    everything = sample("kk", "10", [1.0] * 2, (2, 0))
    assert everything.recall() == Estimate(value=1.0, low=1.0, high=1.0, count=2)
    assert everything.precision() == Estimate(value=0.5, low=0.5, high=0.5, count=2)


def test_kinds_are_estimated_alone() -> None:
    (kind,) = sample("kkkkdddd", "11101000", [22.5] * 4 + [100.0] * 4, (90, 400)).of_kinds()
    assert (kind.kind, kind.count, kind.right) == ("field", 4, 4)
    assert kind.precision and kind.precision.value == 1.0
    assert kind.recall and kind.recall.value == pytest.approx(67.5 / 167.5)


def test_average_precision_weighs_rows() -> None:
    right, scores = np.array([True, False, True]), np.array([3.0, 2.0, 1.0])
    assert average_precision(scores, right, np.ones(3)) == pytest.approx((1 + 2 / 3) / 2)
    # As if the second row were there four times.
    assert average_precision(scores, right, np.array([1.0, 4, 1])) == pytest.approx((1 + 1 / 3) / 2)
    assert average_precision(np.zeros(3), right, np.ones(3)) == pytest.approx(2 / 3)


def test_a_stratum_without_labels_is_as_its_side() -> None:
    labels = [
        Label(1, True, "", "a", "kept 1/2", 10),
        Label(2, None, "", "a", "kept 2/2", 30),
        Label(3, False, "", "a", "dropped 1/1", 50),
    ]
    assert weigh(labels) == {1: 40.0, 3: 50.0}


def test_how_many_more_a_width_takes() -> None:
    found = Estimate(value=0.95, low=0.8, high=0.99, count=40)
    more = more_needed(0.05, found, 0.9)
    assert more is not None
    assert more > 100
    assert more_needed(0.5, found, 0.9) == 0
    assert more_needed(0.05, None, 0.9) is None


@dataclass
class Pool:
    """Candidates of which the truth is known: scores rank them roughly, a threshold cuts them."""

    seed: int
    precision: float
    ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(self.seed)
        self.ids = list(range(1200))
        self.right: NDArray[np.bool_] = draw.random(1200) < np.where(
            np.arange(1200) < 400, self.precision, 0.02
        )
        self.kept = np.arange(1200) < 400
        self.sums = 2.0 * self.kept + self.right + draw.normal(0, 1, 1200)
        self.digest = f"{self.seed:08d}"

    def estimated(self, count: int) -> Sample:
        labels = [
            replace(one, label=bool(self.right[one.id]))
            for one in draw_sample(cast("Candidates", self), count, ())
        ]
        places = np.array([one.id for one in labels])
        weights = weigh(labels)
        return Sample(
            kept=self.kept[places],
            right=self.right[places],
            weights=np.array([weights[one.id] for one in labels]),
            strata=np.unique([one.stratum for one in labels], return_inverse=True)[1],
            scores=self.sums[places],
            kinds=[""] * len(labels),
            kept_rows=400,
            dropped_rows=800,
        )


@pytest.mark.parametrize("precision", [0.8, 0.97])
def test_intervals_hold_in_nine_of_ten_draws(precision: float) -> None:
    holds, values = [], []
    for seed in range(60):
        pool = Pool(seed, precision)
        found = pool.estimated(60)
        estimates = found.precision(), found.recall(), found.average_precision()
        kept = pool.right[pool.kept]
        truth = (
            kept.mean(),
            kept.sum() / pool.right.sum(),
            average_precision(pool.sums, pool.right, np.ones(1200)),
        )
        pairs = [(one, true) for one, true in zip(estimates, truth, strict=True) if one]
        assert len(pairs) == 3
        holds.append([one.low <= true <= one.high for one, true in pairs])
        values.append([one.value - true for one, true in pairs])
    coverage = np.mean(holds, axis=0)
    assert min(coverage) >= 0.85
    # And unbiased: the mean error of 60 draws is within three of its standard errors.
    errors = np.array(values)[:, 0]
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(len(errors)) + 1e-9
