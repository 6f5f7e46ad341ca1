"""The dataset card: every number of it that the rows say again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.dataset.features import dataset_info
from laion_eo.errors import ConfigError
from laion_eo.hub.card_numbers import (
    LANGUAGES_SHOWN,
    language_counts,
    language_rows,
    untagged_line,
)
from laion_eo.hub.cards import (
    BARE_NAME,
    CARD,
    CardHead,
    ConfigEntry,
    DataFiles,
    DatasetInfo,
    size_category,
    split_card,
)
from laion_eo.integrity.datasets.published import Published
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.tables import shortened

LARGEST = 16 << 20
"""Bytes of a card, or of Croissant metadata, that are read: foreign ones can be of any size."""
MOST = 1 << 63
"""Rows or bytes beyond which a number is nonsense."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that a configuration can have: it is that of a folder."""
_ISO_639 = re.compile(r"[a-z]{2,3}")
# Foreign numbers of thousands of digits are none: Python itself refuses those.
_LANGUAGE_ROW = re.compile(r"^\| (.+) \| ([\d,]{1,30}) \| ([\d.]{1,30}) % \|$", re.MULTILINE)
_COUNT_ROW = re.compile(r"^\| (\w+) \| (.+) \| ([\d,]{1,30}) \|$", re.MULTILINE)
_LEFT_OUT = re.compile(
    r"^([\d,]{1,30}) of the rows that the run kept are not in this release", re.MULTILINE
)
_LANGUAGES, _STAGES = "### Languages of the captions\n", "What each stage kept and dropped:\n"
_VERSION = re.compile(r"^With laion-eo (\S+), by the method", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Card:
    """A dataset card as it was read.

    Attributes:
        text: All of it.
        head: Its metadata.
        body: Its Markdown.
    """

    text: str
    head: CardHead
    body: str

    @property
    def configs(self) -> tuple[str, ...]:
        """The configurations that its head speaks of."""
        entries = [entry.config_name for entry in self.head.configs]
        infos = [info.config_name for info in self.head.dataset_info]
        return tuple(dict.fromkeys([*entries, *infos]))

    @property
    def folders(self) -> set[str]:
        """Those of them that a folder can be called."""
        return {config for config in self.configs if NAME.fullmatch(config)}

    @property
    def is_local(self) -> bool:
        """Whether it is as a run wrote it, and never was in a repository with other releases."""
        return f'load_dataset("{BARE_NAME}"' in self.body

    @property
    def version(self) -> str | None:
        """The version of laion-eo that it was written with; ``None`` if it does not say one."""
        found = {match[1] for match in _VERSION.finditer(self.body)}
        return found.pop() if len(found) == 1 else None

    def section(self, config: str) -> str | None:
        """Return the section of a configuration; ``None`` unless there is exactly one."""
        name = re.escape(config)
        pattern = rf"<!-- config {name} -->\n(.*?)<!-- end of config {name} -->\n"
        found = re.findall(pattern, self.body, re.DOTALL)
        return str(found[0]) if len(found) == 1 else None


def read_small(findings: Findings, path: Path) -> bytes | None:
    """Return the content of a file that a person could read; note a fault where there is none."""
    try:
        if path.exists() and not path.is_file():
            findings.fault(path, "it is no file")  # a pipe would never end
            return None
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except FileNotFoundError:
        findings.fault(path, "it is gone")
        return None
    except OSError as error:
        findings.fault(path, f"it cannot be read: {error.strerror}")
        return None
    if len(content) > LARGEST:
        findings.fault(path, f"it has more than {LARGEST:,} bytes")
        return None
    return content


def read_card(findings: Findings, path: Path) -> Card | None:
    """Read a card; note a fault where there is none."""
    content = read_small(findings, path)
    if content is None:
        return None
    try:
        text = content.decode("utf-8")
        head, body = split_card(text)
    except UnicodeDecodeError:
        findings.fault(path, "it is no UTF-8")
        return None
    except ConfigError as error:
        findings.fault(path, shortened(str(error).removeprefix(f"{CARD}: ")))
        return None
    if not text.startswith("---\n"):
        findings.fault(path, "it has no head, so nothing says what is in it")
        return None
    findings.checked(len(content))
    card = Card(text, head, body)
    for config in card.configs:
        if not NAME.fullmatch(config):
            findings.fault(path, f"its head has a configuration {shortened(repr(config))}")
    return card


def check_card(findings: Findings, path: Path, card: Card, found: Mapping[str, Published]) -> None:
    """Compare a card with the rows.

    Args:
        findings: Where faults go.
        path: The card's file.
        card: The card.
        found: The configurations that are there.
    """
    for fault in _faults(card, found):
        findings.fault(path, fault)


def _faults(card: Card, found: Mapping[str, Published]) -> Iterator[str]:
    for config, published in found.items():
        yield from _entry_faults(card, config)
        infos = [info for info in card.head.dataset_info if info.config_name == config]
        if len(infos) != 1:
            yield f"its head has {len(infos)} entries for {config!r} in dataset_info, instead of 1"
        elif published.is_complete:
            yield from (f"its head: {config}: {what}" for what in _info_faults(infos[0], published))
        section = card.section(config)
        if section is None:
            yield f"it has no section of {config!r}, or more than one"
        elif published.is_complete:
            yield from (f"{config}: {what}" for what in _section_faults(section, published))
    if all(published.is_complete for published in found.values()):
        yield from _head_faults(card, found)
    if card.is_local:
        yield from _additions(card)


def _entry_faults(card: Card, config: str) -> Iterator[str]:
    """Yield what is wrong with what the head says of a configuration's files."""
    entries = [entry for entry in card.head.configs if entry.config_name == config]
    if len(entries) != 1:
        yield f"its head has {len(entries)} entries for {config!r} in configs, instead of 1"
        return
    wanted = (DataFiles(split="train", path=f"{config}/train-*.parquet"),)
    if entries[0].data_files != wanted:
        yield f"its head: {config}: data_files does not name {wanted[0].path}"
    if card.is_local and not entries[0].default:
        yield f"its head: {config}: it is not the default"


def _info_faults(info: DatasetInfo, published: Published) -> Iterator[str]:
    """Yield which numbers of ``dataset_info`` are not those of the files."""
    wanted = dataset_info(info.config_name, published.rows, 0, published.bytes)
    if info.features != wanted.features:
        yield "features are not the published columns"
    if [split.name for split in info.splits] != ["train"]:
        yield "there is another split than 'train'"
        return
    split = info.splits[0]
    if max(split.num_examples, split.num_bytes, info.download_size, info.dataset_size) > MOST:
        yield f"there is a number above {MOST:,}"
        return
    if split.num_examples != published.rows:
        yield f"num_examples is {split.num_examples:,}, and the files have {published.rows:,} rows"
    if info.download_size != published.bytes:
        yield f"download_size is {info.download_size:,} instead of {published.bytes:,}"
    if split.num_bytes != info.dataset_size:
        yield f"num_bytes is {split.num_bytes:,}, and dataset_size {info.dataset_size:,}"
    least, most = _arrow_bytes(published.table)
    if not least <= info.dataset_size <= most:
        yield f"dataset_size is {info.dataset_size:,}, and not within {least:,} to {most:,}"


def _arrow_bytes(table: pa.Table) -> tuple[int, int]:
    """Return the least and the most bytes that rows take as Arrow.

    How many depends on the chunks they come in, and on whether it is stored that nothing is null.
    """
    rows, columns, least = table.num_rows, len(table.column_names), 0
    for column in table.columns:
        if column.null_count == rows:
            continue  # such a column may have no buffers at all
        if pa.types.is_string(column.type):
            least += (pc.sum(pc.binary_length(column)).as_py() or 0) + 4 * rows
        else:
            least += rows * column.type.bit_width // 8
    # For every row: a chunk of its own, with one more offset and the bits of one null; and 8 bytes
    # a row for each column that is null throughout.
    return least, least + (rows + 1) * columns * 13


def _section_faults(section: str, published: Published) -> Iterator[str]:
    """Yield which numbers of a configuration's section are not those of its rows."""
    table, rows = published.table, published.rows
    sources = len(table["source"].unique())
    line = f"{rows:,} image-text pairs, found by {sources:,} anchors."
    if line not in section.splitlines():
        yield f"it does not say {line!r}"
    yield from _count_faults(section, rows)
    if not _tells_languages(section, table):
        yield "its table of the languages is not that of the rows"


def _tells_languages(section: str, table: pa.Table) -> bool:
    """Return whether a section has the table and the line that the rows' languages make."""
    said = _LANGUAGE_ROW.findall(_after(section, _LANGUAGES))
    tags, rows = language_counts(table), table.num_rows
    if "\nShares are of the " in section or not tags:
        return said == language_rows(tags) and untagged_line(tags, rows) in section.splitlines()
    # Cards of earlier versions give shares of all captions, and count those without a language.
    every = Counter(code or "(no language)" for code in table["lang"].to_pylist())
    return said == [
        (code, f"{count:,}", f"{100 * count / rows:.1f}")
        for code, count in every.most_common(LANGUAGES_SHOWN)
    ]


def _after(section: str, heading: str) -> str:
    """Return the block of lines after a heading: of its first use, as plugins write below ours."""
    return section.partition(heading)[2].lstrip("\n").partition("\n\n")[0]


def _count_faults(section: str, rows: int) -> Iterator[str]:
    """Yield which counts of the stages are neither those of the rows nor fit each other."""
    counts: dict[str, dict[str, int]] = {}
    for stage, what, count in _COUNT_ROW.findall(_after(section, _STAGES)):
        counts.setdefault(stage, {})[what] = int(count.replace(",", ""))
    verdicts = counts.get("verdicts", {})
    # Of the kept rows, a release leaves out those that may not be published, and says so.
    left_out = sum(int(count.replace(",", "")) for count in _LEFT_OUT.findall(section)[:1])
    if verdicts.get("kept") != rows + left_out:
        yield f"its table of the stages does not say that {rows + left_out:,} rows were kept"
    images = counts.get("candidates", {}).get("images")
    if images != sum(verdicts.values()):
        yield "its table of the stages has another number of candidates than of verdicts"
    downloads = counts.get("downloads", {})
    if downloads.get("urls") != sum(n for what, n in downloads.items() if what != "urls"):
        yield "its table of the stages has another number of URLs than of downloads"
    anchors = f"| anchors | {counts.get('anchors', {}).get('anchors', 0):,} from "
    if anchors not in section:
        yield "its table of the stages has another number of anchors than its table of the choices"


def _head_faults(card: Card, found: Mapping[str, Published]) -> Iterator[str]:
    """Yield what the head says of all configurations together, and is not so."""
    rows = sum(published.rows for published in found.values())
    if card.head.size_categories != (size_category(rows),):
        yield f"its head: size_categories is not {size_category(rows)}"
    codes = {
        code
        for published in found.values()
        for code in published.table["lang"].unique().to_pylist()
        if code and _ISO_639.fullmatch(code)
    }
    listed = set(card.head.language)
    # A repository keeps the languages of its earlier releases.
    if codes != listed if card.is_local else codes - listed:
        yield f"its head: language is not {', '.join(sorted(codes)) or 'empty'}"


def _additions(card: Card) -> Iterator[str]:
    """Yield the keys of the head that laion-eo does not write."""
    parts = [card.head, *card.head.configs, *card.head.dataset_info]
    for part in parts:
        for key in part.model_extra or {}:
            yield f"its head has a key {key!r}, which laion-eo does not write"
        if isinstance(part, ConfigEntry) and part.model_fields_set - {
            "config_name", "data_files", "default"
        }:  # fmt: skip
            yield "its head: configs has more than names and files"
