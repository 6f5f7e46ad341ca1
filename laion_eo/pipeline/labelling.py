"""Puts the filter ``labels`` in the place of the fitted thresholds of a run file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

from laion_eo.component import Context
from laion_eo.config import Choice, RunFile
from laion_eo.kinds import KINDS, Filter
from laion_eo.registry import Registry
from laion_eo.types import JSON

LABELS = "labels"


def with_labels(run_file: RunFile, labels: Path, registry: Registry, context: Context) -> RunFile:
    """Return a run file whose fitted thresholds are replaced by what labels teach.

    Frozen thresholds and other filters stay. Without a fitted one, ``labels`` comes before the
    first filter that compares rows with each other, such as ``duplicates``. A filter ``labels``
    that is there keeps its options but for the file.

    Args:
        run_file: As it was read.
        labels: The ``labels.csv``.
        registry: Where filters are found.
        context: What they are told.

    Raises:
        ConfigError: A filter of the run file is unknown, or has wrong options.
    """
    kind = next(kind for kind in KINDS if kind.base is Filter)
    options: dict[str, JSON] = {}
    kept: list[dict[str, JSON]] = []
    place: int | None = None
    behind: int | None = None
    for number, choice in enumerate(run_file.config.filters, 1):
        where = f"{run_file.name}: [[filters]] {number}"
        if choice.use == LABELS:
            options = choice.options
            place = len(kept) if place is None else place
            continue
        made = registry.create(kind, choice, context, where, run_file.base)
        filter_ = cast("Filter", made)
        if filter_.gives_way_to_labels and not filter_.is_frozen():
            place = len(kept) if place is None else place
            continue
        if behind is None and not filter_.judges_alone:
            behind = len(kept)
        kept.append(choice.model_dump())
    if place is None:
        place = len(kept) if behind is None else behind
    path = str(labels.absolute())
    mine = Choice.model_validate({"use": LABELS, **options, "path": path}).model_dump()
    return replace(
        run_file, data={**run_file.data, "filters": [*kept[:place], mine, *kept[place:]]}
    )
