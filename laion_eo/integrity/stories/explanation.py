"""What is said of one image of a run: why it is in the dataset, or why not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import JsonValue

from laion_eo.pipeline.manifest import to_json

Value: TypeAlias = str | int | float | bool | None
Rule: TypeAlias = Literal["min", "max", "one_of", "not_one_of", "nulls"]


@dataclass(frozen=True, slots=True)
class Hit:
    """An anchor that found the image.

    Attributes:
        source: Number of the anchor.
        anchor_id: Its name within its source.
        view: Which view of it; 0 is the anchor as it is.
        rank: Place of the image among the neighbours of that view, from 0.
        fast_similarity: Cosine of the search, -1..1.
    """

    source: int
    anchor_id: str | None
    view: int
    rank: int
    fast_similarity: float


@dataclass(frozen=True, slots=True)
class Fetched:
    """How the download of the image ended.

    Attributes:
        status: A value of :class:`laion_eo.types.DownloadStatus`.
        meaning: One line that says what the status means.
        reason: One line from the download itself; empty where there is nothing to say.
        http_code: Code of the last response; ``None`` where no server responded.
        fetched_at: When it ended, UTC.
        final_url: Address after redirects.
        filename: Name of the stored image; ``None`` where there is none.
        bytes: Its size.
        width: Pixels.
        height: Pixels.
        format: Pillow's name of the format.
        is_stored: Whether the file is in the run directory, at that size.
    """

    status: str
    meaning: str
    reason: str
    http_code: int | None
    fetched_at: datetime | None
    final_url: str | None
    filename: str | None
    bytes: int | None
    width: int | None
    height: int | None
    format: str | None
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """One value of the image, and what a filter compares it with.

    Attributes:
        column: Name of the value.
        value: The value; ``None`` where there is none. A time is a text of ISO 8601.
        threshold: What it is compared with; ``None`` where any value passes.
        margin: How far the value is on the right side of the threshold: negative where it does not
            pass. Of times, in seconds. ``None`` without a value, and where there is no order.
        rule: ``min``: the least value that passes; ``max``: the greatest; ``one_of`` and
            ``not_one_of``: a list; ``nulls``: there must be a value.
        passes: Whether the value passes.
    """

    column: str
    value: Value
    threshold: Value | tuple[Value, ...]
    margin: float | None
    rule: Rule = "min"
    passes: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one filter of the chain did with the image.

    Attributes:
        filter: Its name; the second of a name is called ``name 2``.
        outcome: ``passed`` or ``dropped`` as the table of verdicts has it; ``not reached`` where an
            earlier part had dropped the image; ``not yet`` where the filters have not run.
        reason: Why it was dropped, in the filter's words; else empty.
        limits: The thresholds, of filters that say theirs.
    """

    filter: str
    outcome: Literal["passed", "dropped", "not reached", "not yet"]
    reason: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Where the image stands in the dataset.

    Attributes:
        file: The Parquet file, relative to the run directory.
        row: Row index in that file, from 0.
    """

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Story:
    """One image of a run, stage by stage; what a stage has not made yet is ``None`` or empty.

    Attributes:
        id: Row of the image in the pool.
        url: Its address.
        caption: The text that stood beside it.
        hits: How many views of anchors found it.
        anchors: How many anchors found it.
        best: The best hits, the most similar first.
        chosen: The hit that made it a candidate.
        fetched: Its download.
        image_error: Why it has no scores; ``None`` where it has some.
        scores: What the scorers computed, by column; a list of numbers by its length.
        lang: Language of the caption.
        lang_score: Confidence of that, 0..1.
        filters: The filters, in their order.
        kept: Whether it was kept.
        dropped_by: What dropped it: a filter, ``download`` or ``decode``.
        reason: Why, in one line.
        duplicate_of: The id of the copy that was kept instead of it.
        copies: The ids of the images that were dropped as copies of it.
        row: Where it is in the dataset.
    """

    id: int
    url: str | None
    caption: str | None
    hits: int
    anchors: int
    best: tuple[Hit, ...]
    chosen: Hit | None
    fetched: Fetched | None
    image_error: str | None
    scores: dict[str, Value]
    lang: str | None
    lang_score: float | None
    filters: tuple[Judgement, ...]
    kept: bool | None
    dropped_by: str | None
    reason: str | None
    duplicate_of: int | None
    copies: tuple[int, ...]
    row: Row | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an image is in or out of a run's dataset.

    Attributes:
        run: The run directory.
        asked: The id or the URL that was asked about.
        images: The images of that id or URL; a URL can stand in several rows of a pool.
        finished: The steps that are complete.
        unfinished: The steps that are not, in their order.
    """

    run: Path
    asked: str
    images: tuple[Story, ...]
    finished: tuple[str, ...]
    unfinished: tuple[str, ...]

    def dump(self) -> dict[str, JsonValue]:
        """Return it as plain JSON: what ``laion-eo explain --json`` prints."""
        return to_json(asdict(self))
