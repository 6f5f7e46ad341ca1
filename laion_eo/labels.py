"""``labels.csv``: what people said of a run's candidates, one image a line.

The columns are :data:`COLUMNS`; only the first two must be there. A sample that ``laion-eo evaluate
--plan`` drew has those of :data:`SAMPLE_COLUMNS`, too, so that an estimate from it is unbiased. Any
other column is kept as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from laion_eo.errors import DataError
from laion_eo.files import write_atomically

COLUMNS = ("id", "label", "kind", "note", "labelled_at")
SAMPLE_COLUMNS = ("plan", "stratum", "stratum_rows")
"""Which sample a row is of (:data:`TEACHING` if it was chosen to teach a filter), its stratum, and
how many candidates that has."""
TEACHING = "fit"
LARGEST = 64 << 20
"""Bytes of a file that is read: some million labels."""
_LABELS = {"1": True, "1.0": True, "true": True, "yes": True,
           "0": False, "0.0": False, "false": False, "no": False}  # fmt: skip
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Label:
    """One line of ``labels.csv``.

    Attributes:
        id: The candidate's: its row in the pool.
        label: Whether the image is of the domain; ``None`` if nobody has said yet.
        kind: What kind of image it is, in the labeller's own words; may be empty.
        plan: The sample that it is of; empty for one that nobody planned.
        stratum: Its stratum in that sample.
        stratum_rows: Candidates in that stratum; 0 outside a sample.
        written: Every column, as it was written.
    """

    id: int
    label: bool | None = None
    kind: str = ""
    plan: str = ""
    stratum: str = ""
    stratum_rows: int = 0
    written: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_sampled(self) -> bool:
        """Whether it was drawn at random, from a stratum of known size."""
        return bool(self.stratum_rows)

    def cells(self) -> dict[str, str]:
        """Return what is written: the columns as they were read, and those that are known."""
        label = "" if self.label is None else str(int(self.label))
        sample = {"plan": self.plan, "stratum": self.stratum}
        rows = {"stratum_rows": str(self.stratum_rows or "")}
        return (
            {**self.written, "id": str(self.id), "label": label, "kind": self.kind} | sample | rows
        )


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read a ``labels.csv``; a line without a label is one that nobody has labelled yet.

    Commas or semicolons separate the columns. A candidate may be there twice with the same label.

    Raises:
        DataError: The file is missing or no such table, or a line is wrong; the message names it.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: no file of labels.")  # a pipe would never end
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise DataError(f"{path}: more than {LARGEST:,} bytes, which no file of labels has.")
        return _parse(path, content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file of labels: `laion-eo evaluate RUN --plan 60 --out {path.name}` "
            "says what to label."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: not a table of labels: {reason}.") from None


def _parse(path: Path, text: str) -> tuple[Label, ...]:
    head = text.partition("\n")[0]
    separator = ";" if ";" in head and "," not in head else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if missing or len(set(names)) < len(names):
        what = f"no column {missing[0]!r}" if missing else "a column is there twice"
        raise DataError(f"{path}: {what}; labels have {', '.join(COLUMNS)}: {_quoted(head)}.")
    reader.fieldnames = names
    found: dict[int, tuple[Label, int]] = {}
    for row in reader:
        label = _label(f"{path}, line {reader.line_num}", row)
        before, line = found.get(label.id, (label, 0))
        if None not in (before.label, label.label) and before.label != label.label:
            raise DataError(
                f"{path}, line {reader.line_num}: the image {label.id} has the label "
                f"{int(bool(label.label))} here, and another in line {line}: keep one."
            )
        found[label.id] = (_joined(before, label), line or reader.line_num)
    return tuple(label for label, _ in found.values())


def _joined(before: Label, label: Label) -> Label:
    """Return one of two lines of an image: the sampled one, with the label that either has."""
    kept, other = (before, label) if before.is_sampled or not label.is_sampled else (label, before)
    said = other.label if kept.label is None else kept.label
    return replace(kept, label=said, kind=kept.kind or other.kind)


def _label(where: str, row: Mapping[str | None, str | list[str] | None]) -> Label:
    if None in row:
        raise DataError(f"{where}: more cells than columns.")
    cells = {str(name): str(cell or "").strip() for name, cell in row.items()}
    said = cells["label"].lower()
    if said and said not in _LABELS:
        raise DataError(f"{where}: 1 or 0 wanted as the label, or nothing; got {_quoted(said)}.")
    return Label(
        id=_whole(where, "id", cells["id"]),
        label=_LABELS.get(said),
        kind=cells.get("kind", ""),
        plan=cells.get("plan", ""),
        stratum=cells.get("stratum", ""),
        stratum_rows=_whole(where, "stratum_rows", cells.get("stratum_rows") or "0"),
        written=cells,
    )


def _whole(where: str, column: str, text: str) -> int:
    digits = text.removesuffix(".0")  # what pandas makes of whole numbers beside an empty cell
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise DataError(f"{where}: a whole number wanted as the {column}, got {_quoted(text)}.")
    return int(digits)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def write_labels(path: Path, labels: Sequence[Label]) -> None:
    """Write a ``labels.csv``, completely or not at all.

    Raises:
        OSError: It cannot be written.
    """
    own = dict.fromkeys((*COLUMNS, *SAMPLE_COLUMNS))
    names = list(own | dict.fromkeys(name for label in labels for name in label.written))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(label.cells() for label in labels)
    write_atomically(path, stream.getvalue().encode())


def labelled(labels: Iterable[Label]) -> dict[int, bool]:
    """Return what is known: the label of each image that has one, by its id."""
    return {label.id: label.label for label in labels if label.label is not None}


def taught(labels: Sequence[Label]) -> tuple[tuple[Label, ...], tuple[Label, ...]]:
    """Part the labels into those that a filter learns from, and those held out to judge it.

    A sample that was drawn to estimate the precision is held out where the others have both
    labels: an estimate on what was learnt says too much.
    """
    known = [label for label in labels if label.label is not None]
    others = [label for label in known if not label.is_sampled]
    if {label.label for label in others} == {True, False}:
        return tuple(others), tuple(label for label in known if label.is_sampled)
    return tuple(known), ()
