"""What labels teach: a logistic regression on embeddings and scores, calibrated out of fold.

Weak examples help it: anchors are images of the domain, and the rows that score lowest are others.
Both weigh a tenth of a label. Everything is seeded, so that the same labels teach the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.kinds import AnchorSet, FitData
from laion_eo.schema import SCORED

WEAK = 0.1
"""Weight of an example that nobody has labelled."""
WEAK_OTHERS = 100
LOWEST = 10
"""One in so many rows, those that score lowest, may be weak examples of other things."""
STRENGTH = 30.0
"""Inverse of the regularisation: embeddings have length 1, so that little is needed."""
FOLDS = 5
EASY = 3.0
"""Weight of a weak example against a label's, where probabilities are calibrated."""
BATCH = 8192
"""Rows whose embeddings are in memory at a time."""

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


def score_columns(table: pa.Table, anchors: AnchorSet) -> tuple[str, ...]:
    """Return the columns of scores that say the same of anchors and of candidates."""
    known = anchors.table.column_names
    return tuple(
        field.name
        for field in table.schema
        if pa.types.is_floating(field.type)
        and field.name not in SCORED.names
        and field.name in known
        and anchors.table[field.name].null_count < anchors.table.num_rows
    )


class Features:
    """Rows as numbers: their embeddings, and some columns in standard deviations.

    Args:
        data: All rows; the columns are standardised over these.
        columns: Beside the embedding.
    """

    def __init__(self, data: FitData, columns: Sequence[str]) -> None:
        self.data = data
        self.columns = tuple(columns)
        values = [_numbers(data.table[name]) for name in columns]
        self._means = [_or_zero(np.nanmean, column) for column in values]
        self._spreads = [_or_zero(np.nanstd, column) or 1.0 for column in values]

    def scores(self, table: pa.Table) -> Numbers:
        """Return the columns in standard deviations, (n, c); 0, the mean, where there is none."""
        spreads = zip(self.columns, self._means, self._spreads, strict=True)
        found = [(_numbers(table[name]) - mean) / spread for name, mean, spread in spreads]
        columns: Numbers = np.nan_to_num(np.array(found).reshape(len(found), table.num_rows).T)
        return columns

    def of(self, table: pa.Table) -> Numbers:
        """Return rows with an image as numbers: (n, dim + c)."""
        if not table.num_rows:
            return np.zeros((0, len(self.columns)))
        return np.hstack([self.data.vectors(table).astype(np.float64), self.scores(table)])

    def of_anchors(self) -> Numbers:
        """Return the anchors that are images, (m, dim + c): texts lie elsewhere."""
        anchors = self.data.anchors
        images = np.flatnonzero(~anchors.is_text)
        table = anchors.table.take(pa.array(images))
        vectors = anchors.embeddings[images].astype(np.float64)
        return np.hstack([vectors, self.scores(table)])

    def batches(self) -> Iterator[Numbers]:
        """Yield all rows as numbers, some at a time."""
        for start in range(0, self.data.table.num_rows, BATCH):
            yield self.of(self.data.table.slice(start, BATCH))

    def sums(self) -> Numbers:
        """Return the sum of each row's scores, (n,): without any, its cosine to the anchors."""
        if self.columns:
            sums: Numbers = self.scores(self.data.table).sum(axis=1)
            return sums
        anchors = self.of_anchors()
        if not len(anchors):
            return np.zeros(self.data.table.num_rows)
        return np.concatenate(
            [np.zeros(0), *(part @ anchors.mean(axis=0) for part in self.batches())]
        )


@dataclass(frozen=True)
class Lesson:
    """What a model is taught.

    Attributes:
        features: float64, (n, f), of the labelled rows.
        labels: bool, (n,).
        anchors: float64, (m, f): weak examples of the domain.
        others: float64, (w, f): weak examples of anything else.
    """

    features: Numbers
    labels: NDArray[np.bool_]
    anchors: Numbers
    others: Numbers

    @classmethod
    def of(cls, features: Features, places: Places, labels: NDArray[np.bool_], seed: int) -> Lesson:
        """Gather what is known of the rows.

        Args:
            features: Of all rows.
            places: int64, (n,): the labelled rows.
            labels: bool, (n,).
            seed: Of the choice among the rows that score lowest.
        """
        table = features.data.table
        lowest = np.argsort(features.sums(), kind="stable")[: table.num_rows // LOWEST]
        weak = np.setdiff1d(np.random.default_rng(seed).permutation(lowest)[:WEAK_OTHERS], places)
        return cls(
            features.of(table.take(pa.array(places))),
            labels,
            features.of_anchors(),
            features.of(table.take(pa.array(weak))),
        )

    @property
    def answers(self) -> NDArray[np.bool_]:
        """What all examples are, (n + m + w,): the labels first."""
        weak = np.ones(len(self.anchors), bool), np.zeros(len(self.others), bool)
        return np.concatenate([self.labels, *weak])

    @property
    def is_two_sided(self) -> bool:
        """Whether there is an example of both."""
        return len(np.unique(self.answers)) == 2

    def regression(self, without: NDArray[np.bool_] | None = None) -> Regression:
        """Fit a regression to the examples.

        Args:
            without: bool, (n + m + w,): examples that are left out.
        """
        from sklearn.linear_model import LogisticRegression

        some = slice(None) if without is None else ~without
        weak = len(self.anchors) + len(self.others)
        weights = np.repeat([1.0, WEAK], [len(self.labels), weak])
        model = LogisticRegression(C=STRENGTH, max_iter=5000)
        model.fit(self._rows[some], self.answers[some], sample_weight=weights[some])
        return Regression(model.coef_[0], float(model.intercept_[0]))

    @property
    def _rows(self) -> Numbers:
        parts = (self.features, self.anchors, self.others)
        return np.concatenate([part for part in parts if len(part)])

    def out_of_fold(self, seed: int) -> Numbers | None:
        """Return what each example gets from the others, (n + m + w,).

        ``None`` where there are fewer than two examples of one side.
        """
        answers = self.answers
        if min(answers.sum(), (~answers).sum()) < 2:
            return None
        # Each fold has its share of each side, of labels and of weak examples.
        draw, fold = np.random.default_rng(seed), np.zeros(len(answers), dtype=np.int64)
        is_weak = np.arange(len(answers)) >= len(self.labels)
        dealt = 0
        for group in (
            answers & ~is_weak,
            ~answers & ~is_weak,
            answers & is_weak,
            ~answers & is_weak,
        ):
            members = draw.permutation(np.flatnonzero(group))
            fold[members] = (dealt + np.arange(len(members))) % FOLDS
            dealt += len(members)
        found, rows = np.zeros(len(answers)), self._rows
        for number in range(FOLDS):
            left_out = fold == number
            if left_out.any():
                if len(np.unique(answers[~left_out])) < 2:
                    return None
                found[left_out] = self.regression(left_out).decide(rows[left_out])
        return found


@dataclass(frozen=True)
class Regression:
    """A fitted logistic regression.

    Attributes:
        coefficients: float64, (f,).
        intercept: Of the decision.
    """

    coefficients: Numbers
    intercept: float

    def decide(self, features: Numbers) -> Numbers:
        """Return the log-odds of rows, (n,): above 0 they are likelier of the domain than not."""
        decisions: Numbers = features @ self.coefficients + self.intercept
        return decisions


@dataclass(frozen=True)
class Calibration:
    """Probabilities from decisions, after Platt: a logistic curve through what was out of fold.

    Labels that were chosen to teach lie where rows are hard to tell, and alone would say that all
    are; the weak examples stand for the easy rows, which are most, and count more.

    Attributes:
        slope: Above 0.
        offset: Of the log-odds.
    """

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(cls, decisions: Numbers, answers: NDArray[np.bool_], labels: int) -> Calibration | None:
        """Fit the curve; ``None`` if decisions and answers have nothing to do with each other.

        Args:
            decisions: float64, (n,), each made without its own example.
            answers: bool, (n,), of both kinds.
            labels: How many of the examples are labels; they come first.
        """
        from sklearn.linear_model import LogisticRegression

        right, wrong = int(answers.sum()), int((~answers).sum())
        # Platt's targets: as if one more of each had been seen, so that no probability is 0 or 1.
        targets = np.where(answers, (right + 1) / (right + 2), 1 / (wrong + 2))
        weights = np.repeat([1.0, EASY], [labels, len(answers) - labels])
        rows = np.concatenate([decisions, decisions])[:, None]
        sides = np.repeat([True, False], len(answers))
        shares = np.concatenate([weights * targets, weights * (1 - targets)])
        model = LogisticRegression(C=1e6, max_iter=5000)
        model.fit(rows, sides, sample_weight=shares)
        slope = float(model.coef_[0, 0])
        return cls(slope, float(model.intercept_[0])) if slope > 0 else None

    def probabilities(self, decisions: Numbers) -> Numbers:
        """Return probabilities, (n,)."""
        odds = np.clip(self.slope * decisions + self.offset, -700, 700)
        probabilities: Numbers = 1 / (1 + np.exp(-odds))
        return probabilities


def _numbers(column: pa.ChunkedArray) -> Numbers:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _or_zero(summary: object, values: Numbers) -> float:
    return float(summary(values)) if np.isfinite(values).any() else 0.0  # type: ignore[operator]
