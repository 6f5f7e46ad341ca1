"""Evaluates a run, and plans what to label: the Python calls behind ``laion-eo evaluate``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from laion_eo.blame import naming_culprits
from laion_eo.component import require_packages
from laion_eo.dataset.receipt import FromLabels, FromSeeds, Receipt
from laion_eo.errors import ConfigError, DataError
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.from_labels import from_labels
from laion_eo.evaluation.sampling import draw_sample
from laion_eo.evaluation.seeds.estimate import from_seeds
from laion_eo.evaluation.teaching import choose_teaching
from laion_eo.evaluation.writing import write_receipt
from laion_eo.labels import read_labels, write_labels
from laion_eo.registry import Registry
from laion_eo.version import __version__

LABELS = "labels.csv"
"""The labels that lie in a run directory, and are used where none are named."""
Purpose = Literal["estimate", "fit"]


def evaluate(
    run: str | Path,
    labels: str | Path | None = None,
    seeds: str | Path | None = None,
    *,
    confidence: float = 0.9,
    width: float | None = None,
    registry: Registry | None = None,
) -> Receipt:
    """Estimate how right and how complete a run's dataset is, and write the receipt of that.

    The receipt goes to ``receipt.json`` in the run directory, to the dataset's card and to its
    Croissant metadata. What an earlier receipt of the same verdicts says of labels stays where only
    seeds are given, and the other way round.

    Args:
        run: The run directory.
        labels: A ``labels.csv``; that of the run directory, if there is one, where neither labels
            nor seeds are named.
        seeds: A folder of pictures of the domain.
        confidence: How often the intervals are to hold: above 0, below 1.
        width: Wished-for width of the intervals: the receipt says how many labels it takes.
        registry: Where components are found; the installed plugins by default.

    Raises:
        ConfigError: It is no finished run, nothing to evaluate it with is named, or a number is
            out of range.
        DataError: The labels or the seeds cannot be read, or say nothing of this run.
        RunError: Another process works in the run directory.
    """
    for name, value in (("confidence", confidence), ("width", width)):
        if value is not None and not 0 < value < 1:
            raise ConfigError(f"evaluate: a {name} above 0 and below 1 wanted, got {value:g}.")
    folder = Path(run)
    known = registry or Registry.discover()
    candidates = Candidates(folder, known)
    if labels is None and seeds is None:
        labels = folder / LABELS
        if not labels.exists():
            raise ConfigError(
                f"{run}: nothing to evaluate it with: name --labels or --seeds, or plan what to "
                f"label with `laion-eo evaluate {run} --plan 60 --out {LABELS}`."
            )
    told: FromLabels | None = None
    came_back: FromSeeds | None = None
    notes: list[str] = []
    with naming_culprits(known):
        if labels is not None:
            told, notes = from_labels(candidates, Path(labels), confidence, width)
        if seeds is not None:
            came_back = from_seeds(candidates, Path(seeds), confidence, width)
    receipt = _joined(candidates, told, came_back, notes, confidence)
    write_receipt(candidates, receipt)
    return receipt


def _joined(
    candidates: Candidates,
    labels: FromLabels | None,
    seeds: FromSeeds | None,
    notes: list[str],
    confidence: float,
) -> Receipt:
    """Return the receipt, with what an earlier one of the same verdicts says beside."""
    before = _earlier(candidates, confidence)
    if before is not None:
        if labels is None:
            notes = [*before.notes, *notes]
        labels, seeds = labels or before.labels, seeds or before.seeds
    said = [*notes, *_limits(seeds)]
    return Receipt(
        laion_eo=__version__,
        made=datetime.now(UTC).replace(microsecond=0),
        verdicts=candidates.digest,
        confidence=confidence,
        candidates=len(candidates.ids),
        kept=int(candidates.kept.sum()),
        labels=labels,
        seeds=seeds,
        notes=tuple(dict.fromkeys(said)),
    )


def _earlier(candidates: Candidates, confidence: float) -> Receipt | None:
    try:
        before = Receipt.load(candidates.run_dir.path)
    except DataError:
        return None  # it is about to be replaced
    same = before and (before.verdicts, before.confidence) == (candidates.digest, confidence)
    return before if same else None


def _limits(seeds: FromSeeds | None) -> list[str]:
    if seeds is None:
        return []
    notes = [
        "The recall of the whole search is that of pictures like the seeds, among those that the "
        "pool has and that can still be downloaded."
    ]
    if seeds.not_judged_by:
        names = ", ".join(seeds.not_judged_by)
        notes.append(f"Filters that judge what a seed does not have had no say: {names}.")
    if seeds.unreadable:
        files = "1 file" if seeds.unreadable == 1 else f"{seeds.unreadable:,} files"
        notes.append(f"{files} among the seeds could not be read.")
    return notes


def plan_labels(
    run: str | Path,
    count: int,
    out: str | Path,
    *,
    purpose: Purpose = "estimate",
    labels: str | Path | None = None,
    registry: Registry | None = None,
) -> int:
    """Write a ``labels.csv`` of what to label next, its column ``label`` empty.

    Args:
        run: The run directory.
        count: How many images.
        out: The file; where it is that of ``labels``, the images are added to it.
        purpose: ``estimate``: a random sample, stratified by verdict and score, for unbiased
            estimates. ``fit``: the images that would teach the filter ``labels`` most.
        labels: What was planned and labelled so far.
        registry: Where components are found; the installed plugins by default.

    Returns:
        How many images there are to label: fewer than ``count`` where there are no more.

    Raises:
        ConfigError: It is no finished run, the count is not above 0, or a package is missing.
        DataError: The labels cannot be read, or no candidate is left.
        OSError: The file cannot be written.
    """
    if count < 1:
        raise ConfigError(f"evaluate: a plan of at least 1 label wanted, got {count}.")
    candidates = Candidates(Path(run), registry or Registry.discover())
    before = read_labels(Path(labels)) if labels is not None else ()
    if purpose == "fit":
        require_packages("evaluate --for fit", ["sklearn"], "laion-eo[learn]")
        chosen = choose_teaching(candidates, count, before)
    else:
        chosen = draw_sample(candidates, count, before)
    if not chosen:
        raise DataError(f"{run}: no candidate is left to label.")
    adds = labels is not None and Path(labels).resolve() == Path(out).resolve()
    replaced = {label.id for label in chosen}
    kept = [label for label in before if label.id not in replaced] if adds else []
    write_labels(Path(out), [*kept, *chosen])
    return len(chosen)
