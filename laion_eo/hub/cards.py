"""Dataset cards as text: the YAML head, and the marked section of each configuration.

A repository has one card for all its configurations. What is said of one configuration stands
between two comments, so that a release can replace its own section and leave the others alone.
"""

from __future__ import annotations

import re

import yaml

from laion_eo.errors import ConfigError
from laion_eo.types import JSON

CARD = "README.md"
BARE_NAME = "laion_eo"
CROISSANT = "croissant-{config}.json"
"""Beside the card, not among the parquet files: readers of a folder expect nothing else there."""
_HEAD = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_SECTION = re.compile(r"<!-- config (\S+) -->\n.*?<!-- end of config \1 -->\n", re.DOTALL)
_MARK = re.compile(r"<!-- (?=(?:end of )?config )")
_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"),
)  # fmt: skip
_UNITED = ("language", "tags", "task_categories")
_NAMED = ("configs", "dataset_info")


def size_category(rows: int) -> str:
    """Return the Hub's word for a number of rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1B")


def split_card(card: str) -> tuple[dict[str, JSON], str]:
    """Return a card's metadata and its Markdown.

    Raises:
        ConfigError: The head is not YAML.
    """
    match = _HEAD.match(card)
    if match is None:
        return {}, card
    try:
        return yaml.safe_load(match[1]) or {}, card[match.end() :]
    except yaml.YAMLError as error:
        raise ConfigError(f"{CARD}: its head is not YAML: {error}") from None


def join_card(head: dict[str, JSON], body: str) -> str:
    """Return a card of metadata and Markdown."""
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n{body}"


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
    """Return the card of a repository that gets, or gets anew, one configuration.

    The text outside the sections is that of ``new``; whatever ``old`` says of other
    configurations stays, as do keys of its head that ``new`` does not have.

    Args:
        new: Card of the one configuration.
        old: Card of the repository; empty if it has none.
        config: The configuration.
        default: Whether it becomes the default one. The first one is, until another is made so.

    Raises:
        ConfigError: ``old`` has text that laion-eo did not write.
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


def _merge_heads(
    new: dict[str, JSON], old: dict[str, JSON], config: str, default: bool
) -> dict[str, JSON]:
    merged = {**old, **new}
    for key in _UNITED:
        values = {*old.get(key, []), *new.get(key, [])}
        if values:
            merged[key] = sorted(values)
    for key in _NAMED:
        entries = {entry["config_name"]: dict(entry) for entry in (*old.get(key, []), *new[key])}
        merged[key] = [entries[name] for name in sorted(entries)]
    was = next(
        (entry["config_name"] for entry in old.get("configs", []) if entry.get("default")), ""
    )
    chosen = config if default or not was else was
    for entry in merged["configs"]:
        entry.pop("default", None)
        if entry["config_name"] == chosen:
            entry["default"] = True
    rows = sum(info["splits"][0]["num_examples"] for info in merged["dataset_info"])
    merged["size_categories"] = [size_category(rows)]
    return merged
