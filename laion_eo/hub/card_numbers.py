"""What a dataset card says of its rows, and how that changes when rows are left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from laion_eo.errors import DataError
from laion_eo.hub.cards import CARD, CardHead, DatasetInfo, join_card, size_category, split_card

LANGUAGES_SHOWN = 20
COLUMNS = ("source", "lang")
"""The columns that the numbers are taken from."""
_ISO_639 = re.compile(r"[a-z]{2,3}")
"""A language code that the Hub accepts; the table shows every code that the tagger gives."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of a dataset's rows: in memory, as Arrow, and of its files."""

    memory: int
    files: int


class Numbers:
    """The numbers of the rows that a card shows.

    Args:
        tables: The rows in their order, with the columns :data:`COLUMNS` at least.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self.rows = 0
        sources: set[int | None] = set()
        self._tags: Counter[str] = Counter()
        for table in tables:
            self.rows += table.num_rows
            sources.update(table["source"].unique().to_pylist())
            self._tags.update(language_counts(table))
        self._sources = len(sources)

    @property
    def codes(self) -> list[str]:
        """The languages, as far as the Hub knows such a code."""
        return sorted(code for code in self._tags if _ISO_639.fullmatch(code))

    @property
    def found(self) -> str:
        """The sentence of how many rows there are."""
        return f"{self.rows:,} image-text pairs, found by {self._sources:,} anchors."

    @property
    def languages(self) -> str:
        """The table of the captions' languages, and what its shares are of, as Markdown."""
        told = untagged_line(self._tags, self.rows)
        if not self._tags:
            return told
        lines = ["| language | captions | share |", "|---|---:|---:|"]
        for code, count, share in language_rows(self._tags):
            lines.append(f"| {cell(code)} | {count} | {share} % |")
        return "\n".join([*lines, "", told])


def language_counts(table: pa.Table) -> Counter[str]:
    """Return how many captions each language has; those without one do not count."""
    return Counter(code for code in table["lang"].to_pylist() if code)


def language_rows(tags: Counter[str]) -> list[tuple[str, str, str]]:
    """Return language, captions, and their percentage of the captions that have a language.

    The commonest ones only: at most :data:`LANGUAGES_SHOWN`.
    """
    return [
        (code, f"{count:,}", f"{100 * count / tags.total():.1f}")
        for code, count in tags.most_common(LANGUAGES_SHOWN)
    ]


def untagged_line(tags: Counter[str], rows: int) -> str:
    """Return the line of the card that says what the shares are of, and what has no language."""
    tagged = tags.total()
    if not tagged:
        return "No caption was tagged."
    return (
        f"Shares are of the {tagged:,} captions with a language. {rows - tagged:,} of {rows:,} "
        "have none: empty ones, file names, codes, and what the tagger was not sure of."
    )


def cell(value: object) -> str:
    """Return a value as the text of a table's cell: no markup, one line."""
    text = " ".join(str(value).split())
    for mark, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(mark, escaped)
    return text


def renumber(card: str, config: str, old: Numbers, new: Numbers, sizes: Sizes) -> str:
    """Return the card of a configuration of which rows are left out.

    Args:
        card: Its card, with the numbers of all rows.
        config: The configuration.
        old: The numbers of all rows.
        new: Those of the rows that are left.
        sizes: Bytes of the rows that are left.

    Raises:
        ConfigError: The head of the card is not valid.
        DataError: The card does not have the numbers of the rows.
    """
    head, body = split_card(card)
    for before, after in ((old.found, new.found), (old.languages, new.languages)):
        if f"\n{before}\n" not in body:
            raise DataError(
                f"{CARD}: it does not have the numbers of its rows, which are {old.rows:,}."
            )
        body = body.replace(f"\n{before}\n", f"\n{after}\n", 1)
    return join_card(_renumbered_head(head, config, new, sizes), body)


def _renumbered_head(head: CardHead, config: str, new: Numbers, sizes: Sizes) -> CardHead:
    def renumbered(info: DatasetInfo) -> DatasetInfo:
        if info.config_name != config:
            return info
        numbers = {"num_bytes": sizes.memory, "num_examples": new.rows}
        splits = tuple(split.model_copy(update=numbers) for split in info.splits)
        totals = {"splits": splits, "download_size": sizes.files, "dataset_size": sizes.memory}
        return info.model_copy(update=totals)

    infos = tuple(renumbered(info) for info in head.dataset_info)
    changed = {"dataset_info": infos, "size_categories": (size_category(new.rows),)}
    return head.model_copy(update=changed | {"language": tuple(new.codes)})
