"""Dataset cards as text: the YAML head, and the marked section of each configuration.

A repository has one card for all its configurations. The section of each configuration is between
two comments, so that a release replaces its own section and keeps the others.

The models of the head are the Hub's metadata format. A repository's head may be edited by its
owners, so they keep every key that they do not know, and writing a head that was read loses none.
"""

from __future__ import annotations

import re
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict

from laion_eo.config import validate
from laion_eo.errors import ConfigError

CARD = "README.md"
BARE_NAME = "laion_eo"
CROISSANT = "croissant-{config}.json"
"""Name of the Croissant file, beside the card: a folder of parquet files has nothing else."""
_HEAD = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_SECTION = re.compile(r"<!-- config (\S+) -->\n.*?<!-- end of config \1 -->\n", re.DOTALL)
_MARK = re.compile(r"<!-- (?=(?:end of )?config )")
_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"),
)  # fmt: skip


def _as_list(value: object) -> object:
    """Accept nothing, or a single entry, where a list is meant: the Hub does so, too."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | dict) else value


class _Metadata(BaseModel):
    """A part of the head. It keeps keys that are not declared, and writes only what was given."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def dump(self) -> dict[str, object]:
        """Return the keys that were given, undeclared ones last, as YAML can hold them."""
        return self.model_dump(exclude_unset=True)


class Feature(_Metadata):
    """One column: its name, and datasets' name of its type (a table for nested types)."""

    name: str
    dtype: str | dict[str, object] = ""


class Split(_Metadata):
    """The size of one split: bytes in memory as Arrow, and rows."""

    name: str
    num_bytes: int = 0
    num_examples: int = 0


class DatasetInfo(_Metadata):
    """The columns and sizes of one configuration; datasets checks the rows against them.

    Attributes:
        config_name: Name of the configuration.
        features: Its columns.
        splits: Its splits.
        download_size: Bytes of its files.
        dataset_size: Bytes of its rows in memory, as Arrow.
    """

    config_name: str = "default"
    features: tuple[Feature, ...] = ()
    splits: tuple[Split, ...] = ()
    download_size: int = 0
    dataset_size: int = 0


class DataFiles(_Metadata):
    """The files of one split, as glob patterns."""

    split: str
    path: str | tuple[str, ...]


class ConfigEntry(_Metadata):
    """The files of one configuration, and how to read them.

    Attributes:
        config_name: Name of the configuration.
        data_files: Its files.
        default: Whether it is loaded when no configuration is named.
        keep_default_na: For CSV files, whether pandas' words for missing values, such as NA, apply.
        na_values: For CSV files, further words for missing values.
        float_precision: For CSV files, how pandas parses numbers.
    """

    config_name: str
    data_files: str | tuple[DataFiles | str, ...] = ()
    default: bool = False
    keep_default_na: bool = True
    na_values: tuple[str, ...] = ()
    float_precision: str | None = None


class CardHead(_Metadata):
    """The metadata of a dataset card.

    Attributes:
        license: Licence of the dataset, by the Hub's name of it.
        pretty_name: Title of the dataset.
        language: ISO 639 codes of the languages in it.
        task_categories: The Hub's names of the tasks that it is for.
        size_categories: The Hub's word for its number of rows.
        tags: Free keywords.
        configs: The files of each configuration.
        dataset_info: The columns and sizes of each configuration.
    """

    license: str | tuple[str, ...] | None = None
    pretty_name: str | None = None
    language: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    task_categories: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    size_categories: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    tags: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    configs: Annotated[tuple[ConfigEntry, ...], BeforeValidator(_as_list)] = ()
    dataset_info: Annotated[tuple[DatasetInfo, ...], BeforeValidator(_as_list)] = ()


def size_category(rows: int) -> str:
    """Return the Hub's word for a number of rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1B")


def split_card(card: str) -> tuple[CardHead, str]:
    """Return a card's metadata and its Markdown.

    Raises:
        ConfigError: The head is not YAML, or not the metadata of a dataset card.
    """
    match = _HEAD.match(card)
    if match is None:
        return CardHead(), card
    try:
        head = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{CARD}: its head is not YAML: {reason}") from None
    if not isinstance(head, dict | None):
        raise ConfigError(f"{CARD}: its head is not a YAML mapping")
    return validate(CardHead, head or {}, f"{CARD}: its head"), card[match.end() :]


def join_card(head: CardHead, body: str) -> str:
    """Return a card of metadata and Markdown."""
    return f"---\n{yaml.safe_dump(head.dump(), sort_keys=False, allow_unicode=True)}---\n{body}"


def mark_section(config: str, text: str) -> str:
    """Return the section of one configuration, between its marks."""
    inside = _without_marks(text).strip()
    return f"<!-- config {config} -->\n{inside}\n\n<!-- end of config {config} -->\n"


def extend_section(card: str, config: str, text: str) -> str:
    """Add Markdown to the end of a configuration's section."""
    end = f"<!-- end of config {config} -->\n"
    return card.replace(end, f"{_without_marks(text).strip()}\n\n{end}", 1)


def _without_marks(text: str) -> str:
    """Return the text with its own marks, if it has any, spelled as plain comments."""
    return _MARK.sub("<!--", text)


def load_from(card: str, repo: str) -> str:
    """Let the card's examples load the dataset from a repository of the Hub."""
    return card.replace(f'load_dataset("{BARE_NAME}"', f'load_dataset("{repo}"')


def merge_cards(new: str, old: str, config: str, default: bool = False) -> str:
    """Return the card of a repository after a release of one configuration.

    The text outside the sections is that of ``new``. What ``old`` says of other configurations
    stays, and so do the keys of its head that ``new`` does not have.

    Args:
        new: Card of the one configuration.
        old: Card of the repository; empty if it has none.
        config: The configuration.
        default: Whether it becomes the default. Otherwise, the default stays what it was; in a new
            repository, that is the first configuration.

    Raises:
        ConfigError: ``old`` has text that laion-eo did not write, or its head is not valid.
    """
    head, body = split_card(new)
    old_head, old_body = split_card(old)
    sections = {match[1]: match[0] for match in _SECTION.finditer(old_body)}
    if old_body.strip() and not sections:
        raise ConfigError(
            f"the repository has a {CARD} that laion-eo did not write, and a release would replace "
            "it: release to another repository, or remove that file first"
        )
    sections |= {match[1]: match[0] for match in _SECTION.finditer(body)}
    blocks = "\n".join(sections[name] for name in sorted(sections))
    body = _SECTION.sub(lambda _: blocks, body, count=1)
    return join_card(_merge_heads(head, old_head, config, default), body)


def _merge_heads(new: CardHead, old: CardHead, config: str, default: bool) -> CardHead:
    united = {
        "language": sorted({*old.language, *new.language}),
        "tags": sorted({*old.tags, *new.tags}),
        "task_categories": sorted({*old.task_categories, *new.task_categories}),
    }
    configs = {entry.config_name: entry for entry in (*old.configs, *new.configs)}
    infos = {info.config_name: info for info in (*old.dataset_info, *new.dataset_info)}
    previous = next((entry.config_name for entry in old.configs if entry.default), None)
    chosen = config if default or previous is None else previous
    rows = sum(split.num_examples for info in infos.values() for split in info.splits)
    return CardHead.model_validate(
        old.dump()
        | new.dump()
        | {key: values for key, values in united.items() if values}
        | {
            "configs": [_with_default(configs[name], name == chosen) for name in sorted(configs)],
            "dataset_info": [infos[name] for name in sorted(infos)],
            "size_categories": [size_category(rows)],
        }
    )


def _with_default(entry: ConfigEntry, default: bool) -> ConfigEntry:
    """Return the entry marked as the default, or without the mark."""
    keys = {key: value for key, value in entry.dump().items() if key != "default"}
    return ConfigEntry.model_validate(keys | {"default": True} if default else keys)
