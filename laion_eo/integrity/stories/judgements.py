"""Each filter of a run's chain, and what it did with one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from laion_eo.config import Choice
from laion_eo.integrity.stories.explanation import Judgement, Limit
from laion_eo.integrity.stories.limits import limits_of

Facts = Mapping[str, Mapping[str, JsonValue]]
DUPLICATES = "duplicates"


def judgements(
    chain: Sequence[Choice], facts: Facts, row: Mapping[str, object], built_in: frozenset[str]
) -> tuple[Judgement, ...]:
    """Return what each filter did with a row, in their order.

    The table of verdicts names the filter that dropped a row. So those before it have passed it,
    and those behind it never saw it; of these the thresholds say how it would have been.

    Args:
        chain: The run's filters.
        facts: What they recorded, by their labels: their thresholds.
        row: The row's values; ``kept``, ``filter`` and ``reason`` are its verdict, if it has one.
        built_in: Names of the filters that are laion-eo's own: only of these it is known what
            their options mean.
    """
    labels = _labels(chain)
    limits = [
        limits_of(choice, facts.get(label, {}), row) if choice.use in built_in else ()
        for choice, label in zip(chain, labels, strict=True)
    ]
    if row.get("kept") is None:
        return tuple(
            Judgement(label, "not yet", "", seen)
            for label, seen in zip(labels, limits, strict=True)
        )
    dropper = _dropper(chain, limits, row)
    found = []
    for place, (label, seen) in enumerate(zip(labels, limits, strict=True)):
        if place < dropper:
            found.append(Judgement(label, "passed", "", seen))
        elif place == dropper:
            found.append(Judgement(label, "dropped", str(row.get("reason") or ""), seen))
        else:
            found.append(Judgement(label, "not reached", "", seen))
    return tuple(found)


def _labels(chain: Sequence[Choice]) -> list[str]:
    """Return the names of the filters as their facts have them: the second is ``name 2``."""
    uses: Counter[str] = Counter()
    labels = []
    for choice in chain:
        uses[choice.use] += 1
        count = uses[choice.use]
        labels.append(choice.use if count == 1 else f"{choice.use} {count}")
    return labels


def _dropper(
    chain: Sequence[Choice], limits: Sequence[tuple[Limit, ...]], row: Mapping[str, object]
) -> int:
    """Return the place of the filter that dropped a row; one behind the last if none did."""
    if row["kept"]:
        return len(chain)
    named = [place for place, choice in enumerate(chain) if choice.use == row.get("filter")]
    failed = [place for place in named if not all(limit.passes for limit in limits[place])]
    # None of the chain: the row has no image, and no filter saw it.
    return next(iter([*failed, *named]), -1)
