"""An explanation as lines of text: labels on the left, everything foreign made visible."""

from __future__ import annotations

from collections.abc import Iterator

from laion_eo.cli.output.console import visible
from laion_eo.integrity.stories.explanation import (
    Explanation,
    Fetched,
    Hit,
    Judgement,
    Limit,
    Story,
)

LABEL = 12
"""Width of the labels."""
LONGEST = 400
"""Characters of a foreign text that are shown."""
IDS = 20
"""Ids of copies that are listed."""
VALUES = 5
"""Values that are listed of those that a filter looks for."""


def lines(found: Explanation) -> Iterator[str]:
    """Yield what an explanation says, one line at a time."""
    if found.unfinished:
        yield f"This run has not ended; not complete: {', '.join(found.unfinished)}."
        yield ""
    if len(found.images) > 1:
        yield f"{len(found.images)} rows of the pool have this URL."
        yield ""
    for place, story in enumerate(found.images):
        if place:
            yield ""
        yield from _story(story)


def _story(story: Story) -> Iterator[str]:
    yield f"id {story.id}: {_ending(story)}"
    if story.url is not None or story.caption is not None:
        yield from _labelled("url", [_shown(story.url)])
        yield from _labelled("caption", [_shown(story.caption)])
    yield from _labelled("found by", _hits(story))
    if story.fetched is not None:
        yield from _labelled("download", _download(story, story.fetched))
    if story.image_error is not None:
        yield from _labelled("scores", [f"none: {_shown(story.image_error)}"])
    elif story.scores:
        width = max(map(len, story.scores))
        values = [f"{name:<{width}}  {_number(value)}" for name, value in story.scores.items()]
        yield from _labelled("scores", values)
    if story.lang is not None or story.lang_score is not None:
        confidence = "" if story.lang_score is None else f", confidence {story.lang_score:.3f}"
        yield from _labelled("language", [f"{_shown(story.lang)}{confidence}"])
    if story.filters:
        width = max(len(judgement.filter) for judgement in story.filters)
        yield from _labelled("filters", [_judged(one, width) for one in story.filters])
    if story.duplicate_of is not None:
        yield from _labelled("copy of", [f"id {story.duplicate_of}, which was kept"])
    if story.copies:
        more = f" and {len(story.copies) - IDS:,} more" if len(story.copies) > IDS else ""
        ids = ", ".join(map(str, story.copies[:IDS]))
        yield from _labelled("copies", [f"dropped for this one: id {ids}{more}"])
    if story.row is not None:
        yield from _labelled("dataset", [f"{_shown(story.row.file)}, row {story.row.row:,}"])


def _ending(story: Story) -> str:
    """Return how it ended, in one line."""
    if story.kept is None:
        return "not judged yet"
    if story.kept:
        return "kept, in the dataset" if story.row else "kept, not in the dataset yet"
    return f"dropped by {_shown(story.dropped_by)}: {_shown(story.reason)}"


def _hits(story: Story) -> list[str]:
    anchors = "1 anchor" if story.anchors == 1 else f"{story.anchors:,} anchors"
    hits = "1 hit" if story.hits == 1 else f"{story.hits:,} hits"
    best = list(story.best)
    if story.chosen is not None and story.chosen not in best:
        best.append(story.chosen)
    names = [_shown(hit.anchor_id) if hit.anchor_id else str(hit.source) for hit in best]
    width = max((len(name) for name in names), default=0)
    first = "" if story.hits <= len(best) else ", the best"
    return [
        f"{anchors}, {hits}{first}:",
        *(_hit(hit, f"{name:<{width}}", story) for hit, name in zip(best, names, strict=True)),
    ]


def _hit(hit: Hit, name: str, story: Story) -> str:
    chosen = ": the anchor it is compared with" if hit == story.chosen else ""
    place = f"anchor {hit.source} {name}  view {hit.view}  rank {hit.rank:>4}"
    return f"  {place}  fast_similarity {hit.fast_similarity:.5f}{chosen}"


def _download(story: Story, fetched: Fetched) -> list[str]:
    said = [f"{_shown(fetched.status)}: {fetched.meaning}"]
    if fetched.http_code is not None:
        said.append(f"HTTP {fetched.http_code}")
    if fetched.fetched_at is not None:
        said.append(f"{fetched.fetched_at:%Y-%m-%d %H:%M:%S} UTC")
    found = ["; ".join(said)]
    if fetched.reason:
        found.append(_shown(fetched.reason))
    if fetched.final_url not in (None, story.url):
        found.append(f"from {_shown(fetched.final_url)}")
    if fetched.filename is not None:
        size = f"{fetched.width} x {fetched.height} {_shown(fetched.format)}"
        lost = "" if fetched.is_stored else " (the file is gone, or has another size)"
        found.append(
            f"{size}, {fetched.bytes or 0:,} bytes: images/{_shown(fetched.filename)}{lost}"
        )
    return found


def _judged(judgement: Judgement, width: int) -> str:
    parts = [_limit(limit) for limit in judgement.limits]
    if judgement.reason:
        parts.append(_shown(judgement.reason))
    return f"{judgement.filter:<{width}}  {judgement.outcome:<11}  {'; '.join(parts)}".rstrip()


def _limit(limit: Limit) -> str:
    wanted = _wanted(limit)
    if limit.value is None:
        return f"{limit.column} has no value" + (f", {wanted} wanted" if wanted else "")
    said = f"{limit.column} {_number(limit.value)}"
    if limit.rule in ("one_of", "not_one_of"):
        inside = limit.passes == (limit.rule == "one_of")
        return f"{said} is {'' if inside else 'not '}one of {wanted}"
    if limit.margin is None:
        return f"{said} is a value"
    sign = {("min", True): ">=", ("min", False): "<", ("max", True): "<=", ("max", False): ">"}
    margin = f"{'+' if limit.margin >= 0 else ''}{_number(limit.margin)}"
    unit = " s" if isinstance(limit.value, str) else ""
    return f"{said} {sign[limit.rule, limit.passes]} {_number(limit.threshold)} ({margin}{unit})"


def _wanted(limit: Limit) -> str:
    """Return what a value is compared with; of a long list, the first few."""
    if not isinstance(limit.threshold, tuple):
        return "" if limit.threshold is None else _number(limit.threshold)
    shown = ", ".join(_number(value) for value in limit.threshold[:VALUES])
    more = len(limit.threshold) - VALUES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5f}"
    return "none" if value is None else _shown(str(value))


def _shown(text: str | None) -> str:
    """Return foreign text in one line that does nothing to a terminal."""
    if text is None:
        return "none"
    return visible(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _labelled(label: str, texts: list[str]) -> Iterator[str]:
    for place, text in enumerate(texts):
        yield f"  {label if place == 0 else '':<{LABEL}}{text}".rstrip()
