"""What a file of labels says of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from laion_eo.dataset.receipt import FromLabels
from laion_eo.errors import DataError
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.estimates import Sample, more_needed, weigh
from laion_eo.fingerprint import file_sha256
from laion_eo.labels import TEACHING, Label, read_labels

FEW = 20
"""Labels below which an estimate says next to nothing."""


@dataclass(frozen=True)
class _Chosen:
    """The labels that an estimate is made from.

    Attributes:
        labels: All of one sample, labelled or not; or those that nobody planned.
        is_sample: Whether they are of a sample.
        notes: What to bear in mind.
    """

    labels: list[Label]
    is_sample: bool
    notes: list[str] = field(default_factory=list)


def from_labels(
    candidates: Candidates, path: Path, confidence: float, width: float | None
) -> tuple[FromLabels, list[str]]:
    """Estimate precision and recall from a file of labels.

    Args:
        candidates: Of the run.
        path: The ``labels.csv``.
        confidence: How often an interval is to hold: 0..1.
        width: Wished-for width of the intervals.

    Returns:
        The estimates, and what to bear in mind.

    Raises:
        DataError: The file is wrong, or none of its labels says anything of the run.
    """
    labels = read_labels(path)
    chosen = _choose(path, candidates, labels)
    known = [label for label in chosen.labels if label.label is not None]
    if not known:
        raise DataError(f"{path}: not one of the {len(chosen.labels):,} images is labelled yet.")
    sample = _sample(candidates, chosen, known, confidence)
    dropped = sample.share(sample.right, ~sample.kept, sample.dropped_rows)
    wanted: dict[str, float | int | None] = {}
    if width is not None:
        wanted = {
            "width": width,
            "more_for_precision": more_needed(width, sample.precision(), confidence),
            "more_for_recall": more_needed(width, dropped, confidence),
        }
    everything = sum(label.label is not None for label in labels)
    found = FromLabels(
        sha256=file_sha256(path),
        sampling="stratified" if chosen.is_sample else "assumed",
        labels=len(known),
        right=int(sample.right.sum()),
        left_out=everything - len(known),
        precision=sample.precision(),
        recall=sample.recall(),
        average_precision=sample.average_precision(),
        kinds=sample.of_kinds(),
        **wanted,
    )
    return found, [*chosen.notes, *_warnings(candidates, found)]


def _choose(path: Path, candidates: Candidates, labels: Sequence[Label]) -> _Chosen:
    """Return the labels of the largest sample, or else those that nobody planned."""
    here = [label for label in labels if label.id in candidates.places]
    notes = []
    if strange := sum(label.id not in candidates.places for label in labels):
        notes.append(f"{strange:,} labels are of images that are not among this run's candidates.")
    if not here:
        raise DataError(
            f"{path}: not one of its {len(labels):,} images is among the candidates of "
            f"{candidates.run_dir.path} that have an image: of which run are they?"
        )
    plans = Counter(label.plan for label in here if label.is_sampled and label.label is not None)
    if plans:
        plan = plans.most_common(1)[0][0]
        mine = [label for label in here if label.is_sampled and label.plan == plan]
        rows = sum({label.stratum: label.stratum_rows for label in mine}.values())
        if rows != len(candidates.ids):
            notes.append(
                f"The sample was drawn among {rows:,} candidates, and the run has "
                f"{len(candidates.ids):,} now: what is new is taken to be as the others are."
            )
        return _Chosen(mine, True, notes)
    unplanned = [label for label in here if not label.is_sampled and label.plan != TEACHING]
    if not any(label.label is not None for label in unplanned):
        raise DataError(
            f"{path}: its labels were chosen to teach a filter, so they estimate nothing: "
            "`laion-eo evaluate RUN --plan 60 --out FILE` draws a sample that does."
        )
    notes.append(
        "Nobody drew these labels at random, as far as the file says: they are taken so, among the "
        "kept images and among the dropped ones."
    )
    return _Chosen(unplanned, False, notes)


def _sample(
    candidates: Candidates, chosen: _Chosen, known: Sequence[Label], confidence: float
) -> Sample:
    places = np.array([candidates.places[label.id] for label in known], dtype=np.int64)
    kept = candidates.kept[places]
    rows = int(candidates.kept.sum()), int((~candidates.kept).sum())
    if chosen.is_sample:
        scale = weigh(chosen.labels)
        weights = np.array([scale[label.id] for label in known], dtype=np.float64)
        names = sorted({label.stratum for label in known})
        strata = np.array([names.index(label.stratum) for label in known], dtype=np.int64)
    else:
        counts = max(int(kept.sum()), 1), max(int((~kept).sum()), 1)
        weights = np.where(kept, rows[0] / counts[0], rows[1] / counts[1])
        strata = kept.astype(np.int64)
    return Sample(
        kept=kept,
        right=np.array([bool(label.label) for label in known], dtype=bool),
        weights=weights,
        strata=strata,
        scores=candidates.sums[places],
        kinds=[label.kind for label in known],
        kept_rows=rows[0],
        dropped_rows=rows[1],
        confidence=confidence,
        seed=candidates.seed,
    )


def _warnings(candidates: Candidates, found: FromLabels) -> list[str]:
    notes = []
    if found.labels < FEW:
        notes.append(f"{found.labels} labels say little: the intervals are wide.")
    if found.precision is None:
        notes.append("No kept image is labelled, so nothing is known of the precision.")
    if found.recall is None:
        notes.append(
            "Without a labelled image among the dropped ones, and one of the domain, nothing is "
            "known of the recall among the candidates."
        )
    facts = candidates.manifest.stages["verdicts"].facts.get("labels", {})
    if facts.get("of_a_sample") or (facts and found.sampling == "assumed"):
        notes.append(
            "The filter has learnt from these labels, or some of them, so the estimates are too "
            "high: label images that it has not seen."
        )
    return notes
