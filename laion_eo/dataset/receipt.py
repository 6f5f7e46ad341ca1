"""The receipt of a dataset: how right and how complete it is, and how that was estimated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from laion_eo.config import Model
from laion_eo.errors import DataError
from laion_eo.files import write_atomically
from laion_eo.hub.card_numbers import cell

RECEIPT = "receipt.json"
"""Its name in a run directory."""
FORMAT = 1
LARGEST = 64 << 20
"""Bytes of a receipt that are read."""


class Estimate(Model):
    """An estimate of a share, with its interval.

    Attributes:
        value: The share that was found, 0..1.
        low: Lower bound of the interval.
        high: Upper bound of the interval.
        count: Labels or seeds that it is estimated from.
    """

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    count: int = Field(ge=0)


class KindOfImage(Model):
    """What was estimated for one kind of image.

    Attributes:
        kind: As the labels call it, or the folder of the seeds.
        count: Labels or seeds of that kind.
        right: Labels of it that say that the image is of the domain, or seeds that came back.
        precision: Share of right ones among those that were kept; ``None`` without any.
        recall: Share that was kept, or came back, among the right ones; ``None`` without any.
    """

    kind: str
    count: int = Field(ge=0)
    right: int = Field(ge=0)
    precision: Estimate | None = None
    recall: Estimate | None = None


class FromLabels(Model):
    """What labels say.

    Attributes:
        sha256: Of the file of labels.
        sampling: ``stratified`` for a sample that ``laion-eo evaluate --plan`` drew; ``assumed``
            where it is taken as drawn at random, because nobody knows how it was.
        labels: Labels that the estimates are from.
        right: Those of them that say that the image is of the domain.
        left_out: Labels that say nothing here: they were chosen to teach a filter, or are of images
            that are not among the candidates.
        precision: Share of right images among those that were kept.
        recall: Share that was kept of the right images among the candidates.
        average_precision: Of the standardised sum of the scores, over all candidates.
        width: Wished-for width of the intervals, if one was asked for.
        more_for_precision: Further labels of kept images that need to be made for it.
        more_for_recall: Further labels of dropped images, likewise.
        kinds: For each kind of image that the labels name.
    """

    sha256: str
    sampling: Literal["stratified", "assumed"]
    labels: int = Field(ge=0)
    right: int = Field(ge=0)
    left_out: int = Field(default=0, ge=0)
    precision: Estimate | None = None
    recall: Estimate | None = None
    average_precision: Estimate | None = None
    width: float | None = None
    more_for_precision: int | None = None
    more_for_recall: int | None = None
    kinds: tuple[KindOfImage, ...] = ()


class Seed(Model):
    """What became of one seed.

    Attributes:
        seed: Its path below the folder of the seeds.
        lost_at: ``search``, ``decode``, or the filter that dropped it; ``None`` if it came back.
        reason: Why, in a line.
    """

    seed: str
    lost_at: str | None = None
    reason: str = ""


class FromSeeds(Model):
    """What seeds say.

    Attributes:
        seeds: Seeds that could be read.
        unreadable: Files that could not.
        recall: Share that came back: of the images of the domain that the pool has and that can be
            downloaded, the share that is in the dataset.
        lost: How many were lost where.
        not_judged_by: Filters that had no say, as they judge what a seed does not have.
        width: Wished-for width of the interval, if one was asked for.
        more: Further seeds that are needed for it.
        kinds: For each folder of seeds.
        outcomes: Each seed.
    """

    seeds: int = Field(ge=0)
    unreadable: int = Field(default=0, ge=0)
    recall: Estimate
    lost: dict[str, int] = Field(default_factory=dict)
    not_judged_by: tuple[str, ...] = ()
    width: float | None = None
    more: int | None = None
    kinds: tuple[KindOfImage, ...] = ()
    outcomes: tuple[Seed, ...] = ()


class Receipt(Model):
    """What is known of a dataset's precision and recall.

    Attributes:
        version: The receipt's format.
        laion_eo: Version of laion-eo that wrote it.
        made: When, UTC.
        verdicts: The digest of the verdicts that it is about, as the run's records have it.
        confidence: How often each interval is to hold: 0..1.
        candidates: Distinct candidates with an image.
        kept: Those of them that were kept.
        labels: What labels say; ``None`` without any.
        seeds: What seeds say; ``None`` without any.
        notes: What to bear in mind, a line each.
    """

    version: int = Field(default=FORMAT, ge=1, le=FORMAT)
    laion_eo: str
    made: AwareDatetime
    verdicts: str
    confidence: float = Field(gt=0, lt=1)
    candidates: int = Field(ge=0)
    kept: int = Field(ge=0)
    labels: FromLabels | None = None
    seeds: FromSeeds | None = None
    notes: tuple[str, ...] = ()

    def dump(self) -> dict[str, JsonValue]:
        """Return the receipt as the plain JSON that its file holds."""
        return self.model_dump(mode="json")

    def save(self, run: Path) -> None:
        """Write it into a run directory, completely or not at all.

        Raises:
            OSError: The disk cannot take it.
        """
        text = json.dumps(self.dump(), indent=1, ensure_ascii=False)
        write_atomically(run / RECEIPT, f"{text}\n".encode())

    @classmethod
    def load(cls, run: Path) -> Receipt | None:
        """Read the receipt of a run directory; ``None`` if it has none.

        Raises:
            DataError: It is damaged, or of a newer format.
        """
        path = run / RECEIPT
        if not path.exists():
            return None
        try:
            if not path.is_file() or path.stat().st_size > LARGEST:
                raise DataError(f"{path}: no receipt: delete it, and evaluate the run again.")
            return cls.model_validate_json(path.read_text("utf-8"))
        except ValidationError as error:
            first = error.errors()[0]
            what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (OSError, ValueError, RecursionError) as error:
            what = str(error)
        raise DataError(f"{path}: not a receipt ({what}): delete it, and evaluate the run again.")

    def estimates(self) -> Iterator[tuple[str, Estimate, str]]:
        """Yield each estimate of the whole: what it is, itself, and what it is from."""
        labels, seeds = self.labels, self.seeds
        if labels is not None:
            how = "" if labels.sampling == "stratified" else ", taken as drawn at random"
            for what, estimate in (
                ("precision", labels.precision),
                ("recall among the candidates", labels.recall),
                ("average precision of the scores", labels.average_precision),
            ):
                if estimate is not None:
                    yield what, estimate, f"{estimate.count:,} labels{how}"
        if seeds is not None:
            yield "recall of the whole search", seeds.recall, f"{seeds.seeds:,} hidden seeds"

    def sentences(self) -> list[str]:
        """Return the estimates in words, one each."""
        return [
            f"{what} {estimate.value:.3f}, {self.confidence:.0%} interval {_interval(estimate)}, "
            f"from {source}"
            for what, estimate, source in self.estimates()
        ]


def _interval(estimate: Estimate) -> str:
    # Rounded outwards: a bound is never better than what was found.
    low, high = int(estimate.low * 1000) / 1000, -int(-estimate.high * 1000 // 1) / 1000
    return f"{low:.3f} to {min(high, 1.0):.3f}"


def receipt_table(receipt: Receipt) -> list[str]:
    """Return the receipt as lines of Markdown: tables, and what to bear in mind."""
    lines = [
        f"| estimate | value | {receipt.confidence:.0%} interval | from |",
        "|---|---:|---:|---|",
    ]
    for what, estimate, source in receipt.estimates():
        lines.append(f"| {what} | {estimate.value:.3f} | {_interval(estimate)} | {source} |")
    kinds = [*_kinds("label", receipt.labels), *_kinds("seed", receipt.seeds)]
    if kinds:
        lines += [
            "",
            "| kind of image | from | precision | recall |",
            "|---|---:|---:|---:|",
            *kinds,
        ]
    if receipt.seeds is not None and receipt.seeds.lost:
        lost = ", ".join(f"{count} by {cell(what)}" for what, count in receipt.seeds.lost.items())
        lines += ["", f"Seeds that did not come back: {lost}."]
    for note in receipt.notes:
        lines += ["", cell(note)]
    return lines


def _kinds(what: str, part: FromLabels | FromSeeds | None) -> Iterator[str]:
    for kind in part.kinds if part is not None else ():
        estimates = [_shown(kind.precision), _shown(kind.recall)]
        plural = "s" if kind.count != 1 else ""
        yield f"| {cell(kind.kind)} | {kind.count:,} {what}{plural} | {' | '.join(estimates)} |"


def _shown(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.3f} ({_interval(estimate)})"


HEADING = "### Receipt"
_END = "<!-- end of the receipt -->"


def receipt_section(receipt: Receipt) -> str:
    """Return the receipt as a section of the card."""
    said = [
        f"What is estimated of {receipt.kept:,} kept images, of {receipt.candidates:,} candidates. "
        f"An interval holds in {receipt.confidence:.0%} of samples."
    ]
    return "\n".join([HEADING, "", *said, "", *receipt_table(receipt), "", _END])


def said_in_card(body: str) -> str | None:
    """Return what a card's receipt says, in a line; ``None`` if it has none.

    Args:
        body: The card's Markdown, or a configuration's section of it.
    """
    _, found, rest = body.partition(f"\n{HEADING}\n")
    text, end, _ = rest.partition(f"\n{_END}")
    return _sentences(text.splitlines()) if found and end else None


def _sentences(lines: Sequence[str]) -> str | None:
    rows = [line.strip("| ").split(" | ") for line in lines]
    tables = [
        row for row in rows if len(row) == 4 and row[3].split(" ")[0].replace(",", "").isdigit()
    ]
    level = next((row[2] for row in rows if len(row) == 4 and row[0] == "estimate"), None)
    if level is None or not tables:
        return None
    said = [
        f"{what} {value} ({level} {interval}, from {source})"
        for what, value, interval, source in tables
    ]
    return f"Estimated: {'; '.join(said)}."
