"""The recall of a whole run, from what becomes of its seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from laion_eo.dataset.receipt import Estimate, FromSeeds, KindOfImage, Seed
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.seeds.files import SeedFile, read_seeds
from laion_eo.evaluation.seeds.judging import SeedRun
from laion_eo.intervals import count_for, share_interval

SEARCH = "search"


def from_seeds(
    candidates: Candidates, folder: Path, confidence: float, width: float | None
) -> FromSeeds:
    """Estimate the recall of a whole run.

    Args:
        candidates: Of the run.
        folder: The seeds; those of a folder in it are of the kind that it is called.
        confidence: How often the interval is to hold: 0..1.
        width: Wished-for width of the interval.

    Raises:
        ConfigError: There is no such folder; a component of the run is not there, or has changed.
        DataError: There is no picture in the folder.
    """
    files, unreadable = read_seeds(folder)
    seeds = SeedRun(candidates, files)
    try:
        outcomes, silent = _outcomes(seeds)
    finally:
        seeds.workbench.close()
    recall = _share(outcomes, confidence)
    wanted = None if width is None else count_for(recall.value, width, confidence)
    lost = Counter(seed.lost_at for seed in outcomes if seed.lost_at is not None)
    return FromSeeds(
        seeds=len(outcomes),
        unreadable=unreadable,
        recall=recall,
        lost=dict(lost.most_common()),
        not_judged_by=tuple(silent),
        width=width,
        more=None if wanted is None else max(0, wanted - len(outcomes)),
        kinds=_kinds(files, outcomes, confidence),
        outcomes=tuple(outcomes),
    )


def _outcomes(seeds: SeedRun) -> tuple[list[Seed], list[str]]:
    finds = seeds.search()
    lost, silent = seeds.judge(seeds.score(finds))
    outcomes = []
    for place, file in enumerate(seeds.files):
        where, why = lost.get(place, (None, ""))
        if not finds.found[place]:
            cosine = float(finds.cosine[place])
            where, why = (
                SEARCH,
                f"its cosine to the nearest anchor is {cosine:.4f}, and others rank",
            )
            why += " before it for every anchor"
        outcomes.append(Seed(seed=file.name, lost_at=where, reason=why))
    return outcomes, silent


def _share(outcomes: Sequence[Seed], confidence: float) -> Estimate:
    value = sum(seed.lost_at is None for seed in outcomes) / len(outcomes)
    low, high = share_interval(value, len(outcomes), confidence)
    return Estimate(value=value, low=low, high=high, count=len(outcomes))


def _kinds(
    files: Sequence[SeedFile], outcomes: Sequence[Seed], confidence: float
) -> tuple[KindOfImage, ...]:
    kinds: dict[str, list[Seed]] = {}
    for file, seed in zip(files, outcomes, strict=True):
        if file.kind:
            kinds.setdefault(file.kind, []).append(seed)
    return tuple(
        KindOfImage(
            kind=kind,
            count=len(some),
            right=sum(seed.lost_at is None for seed in some),
            recall=_share(some, confidence),
        )
        for kind, some in kinds.items()
    )
