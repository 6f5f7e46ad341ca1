"""Filter ``labels``: what a few labels teach decides, at a wanted precision."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.filters.label_model import (
    Calibration,
    Features,
    Lesson,
    Numbers,
    score_columns,
)
from laion_eo.component import ComponentConfig, require_packages
from laion_eo.config import RunPath
from laion_eo.errors import ConfigError, DataError
from laion_eo.fingerprint import file_sha256
from laion_eo.intervals import lower_bound
from laion_eo.kinds import Filter, FitData
from laion_eo.labels import labelled, read_labels, taught
from laion_eo.types import JSON, Verdict

logger = logging.getLogger("laion_eo")


class LabelsFilter(Filter):
    """Keeps what is of the domain by a logistic regression that labels have taught.

    It learns from the stored embeddings and from columns of scores. Anchors are weak examples of
    the domain, the rows that score lowest weak examples of other things; a label weighs ten times
    as much. What is left out of each fit calibrates it: a row's probability is one that labels had
    no part in. Of the rows, those from the lowest probability on are kept at which the wanted
    precision is shown by labels with the stated confidence; where they are too few for that, those
    at which it is expected, and a line says so. A labelled row is what its label says.

    A sample that ``laion-eo evaluate --plan`` drew to estimate the precision is held out, where the
    other labels are enough to learn from.
    """

    name = "labels"
    gives_way_to_labels = True
    summary = "keeps what a few labels teach, at a wanted precision"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            path: The ``labels.csv``: ``id``, the candidate's, and ``label``, 1 or 0.
            precision: Wanted share of right images among those that are kept: above 0.5, below 1.
            confidence: With which labels are to show it: above 0.5, below 1.
            columns: Scores beside the embedding; by default all that the anchors have, too.
        """

        path: RunPath
        precision: float = Field(default=0.97, gt=0.5, lt=1)
        confidence: float = Field(default=0.9, gt=0.5, lt=1)
        columns: tuple[str, ...] | None = None

    config: Config

    def identity(self) -> JSON:
        """Return the hash of the file's content.

        Raises:
            DataError: There is no such file.
        """
        read_labels(self.config.path)
        return file_sha256(self.config.path)

    def needs(self) -> tuple[str, ...]:
        """Return the columns that are named."""
        return self.config.columns or ()

    def check_columns(self, columns: pa.Schema) -> None:
        """Raise if a column does not hold numbers.

        Raises:
            ConfigError: The message names it.
        """
        for name in self.needs():
            kind = columns.field(name).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise ConfigError(f"labels: numbers wanted in the column {name!r}, got {kind}.")

    def check(self) -> None:
        """Raise if scikit-learn is not installed, or nothing is labelled.

        Raises:
            ConfigError: It is not.
            DataError: The file has no label.
        """
        require_packages(self.name, ["sklearn"], "laion-eo[learn]")
        if not labelled(read_labels(self.config.path)):
            raise DataError(f"{self.config.path}: not one image is labelled yet.")

    def fit(self, data: FitData) -> None:
        """Learn from the labels, and find where to cut.

        Raises:
            DataError: Labels and anchors give examples of one side alone.
        """
        learnt, held_out = taught(read_labels(self.config.path))
        known = labelled(learnt)
        ids = data.table["id"].to_pylist()
        here = {place: known[one] for place, one in enumerate(ids) if one in known}
        columns = self.config.columns
        if columns is None:
            columns = score_columns(data.table, data.anchors)
        self._features = Features(data, columns)
        self._said = {ids[place]: label for place, label in here.items()}
        self._facts: dict[str, JSON] = {
            "labels": len(here),
            "right": sum(here.values()),
            "held_out": len(held_out),
            "elsewhere": len(known) - len(here),
            "columns": list(columns),
            "of_a_sample": sum(label.is_sampled for label in learnt),
        }
        if elsewhere := len(known) - len(here):
            logger.warning(
                "labels: %d of %d labels are of images that are not among the rows here: of another"
                " run, or dropped before", elsewhere, len(known),
            )  # fmt: skip
        if not ids:
            return
        places = np.array(sorted(here), dtype=np.int64)
        labels = np.array([here[place] for place in places.tolist()], dtype=bool)
        lesson = Lesson.of(self._features, places, labels, self.context.seed)
        self._facts |= {"anchors": len(lesson.anchors), "weak_negatives": len(lesson.others)}
        if not lesson.is_two_sided:
            raise DataError(
                f"{self.config.path}: {len(here)} labels of these rows, and no example of "
                f"{'other things' if labels.any() else 'the domain'}: label some."
            )
        self._learn(lesson, places)

    def _learn(self, lesson: Lesson, places: NDArray[np.int64]) -> None:
        self._regression = lesson.regression()
        unseen, count = lesson.out_of_fold(self.context.seed), len(lesson.labels)
        found = None if unseen is None else Calibration.fit(unseen, lesson.answers, count)
        self._calibration = found or Calibration()
        rows = np.concatenate([self._judge(part) for part in self._features.batches()])
        rows[places] = lesson.labels
        judged = np.zeros(count) if unseen is None else self._probable(unseen[:count])
        # What the regression itself takes for something else is not kept, whatever the others are.
        least = float(self._probable(np.zeros(1))[0])
        cut = choose_cut(rows, judged, lesson.labels, least, self.config)
        self._cut = cut.probability
        said = f"fitted to {count} labels"
        self._facts |= cut.facts() | {"probability": {"threshold": self._cut, "how": said}}
        notes = [] if cut.is_shown else [cut.note(count, self.config)]
        if found is None:
            notes.append("the examples are too few or too mixed to calibrate probabilities with")
        if notes:
            self._facts["note"] = "; ".join(notes)
            logger.warning("labels: %s", self._facts["note"])

    def _judge(self, features: Numbers) -> Numbers:
        return self._probable(self._regression.decide(features))

    def _probable(self, decisions: Numbers) -> Numbers:
        return self._calibration.probabilities(decisions)

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge rows by their embeddings and scores; a labelled one by its label."""
        if not batch.num_rows:
            return Verdict(np.zeros(0, dtype=bool), [])
        found = self._judge(self._features.of(batch))
        mask = found >= self._cut
        reasons = [f"probability {value:.4f} < {self._cut:.4f}" for value in found.tolist()]
        for place, number in enumerate(batch["id"].to_pylist()):
            if number in self._said:
                mask[place], reasons[place] = self._said[number], "labelled 0"
        return Verdict(mask, reasons)

    def facts(self) -> dict[str, JSON]:
        """Return what was learnt from, the cut, and what precision it has."""
        return dict(self._facts)


@dataclass(frozen=True)
class Cut:
    """Where rows are cut, and what is known of those above.

    Attributes:
        probability: Least probability of a row that is kept.
        expected: Mean probability of the rows that are kept: the precision to expect.
        right: Labels above the cut that are right, by what they get out of fold.
        labels: Labels above the cut.
        bound: Precision that these labels show, with the wanted confidence.
        is_shown: Whether that is the wanted one.
    """

    probability: float
    expected: float
    right: int
    labels: int
    bound: float
    is_shown: bool

    def facts(self) -> dict[str, JSON]:
        """Return what the manifest says of it."""
        above = f"{self.right} of {self.labels}"
        shown = {"shown": round(self.bound, 4), "is_shown": self.is_shown}
        return {"expected_precision": round(self.expected, 4), "right_above": above, **shown}

    def note(self, labels: int, wanted: LabelsFilter.Config) -> str:
        """Return in a line what the labels are too few for, and what is kept instead."""
        return (
            f"{labels} labels are too few to show a precision of {wanted.precision:g} with "
            f"{wanted.confidence:.0%} confidence: of the {self.labels} above the cut {self.right} "
            f"are right, which shows {self.bound:.3f}; kept is what a precision of "
            f"{self.expected:.3f} is expected of"
        )


def choose_cut(
    rows: Numbers,
    judged: Numbers,
    labels: NDArray[np.bool_],
    least: float,
    wanted: LabelsFilter.Config,
) -> Cut:
    """Return the lowest cut at which the wanted precision is shown, or else expected.

    Args:
        rows: float64, (n,): the probabilities of all rows.
        judged: float64, (m,): those of the labelled rows, each without its own label.
        labels: bool, (m,).
        least: No cut is lower.
        wanted: The precision and the confidence.
    """
    ordered = np.sort(rows[rows >= least])[::-1]
    means = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    good = np.flatnonzero(means >= wanted.precision)
    expected = least
    if len(good) < len(ordered):
        # Where not even the likeliest row is likely enough, none is kept.
        expected = float(ordered[good[-1]]) if len(good) else wanted.precision

    def cut_at(probability: float) -> Cut:
        above = judged >= probability
        right, count = int(labels[above].sum()), int(above.sum())
        bound = lower_bound(right, count, wanted.confidence)
        kept = rows[rows >= probability]
        mean = float(kept.mean()) if len(kept) else 1.0
        return Cut(probability, mean, right, count, bound, bound >= wanted.precision)

    for probability in sorted({expected, *judged[judged > expected].tolist()}):
        if (cut := cut_at(probability)).is_shown:
            return cut
    return cut_at(expected)
