"""A release tree: the ``dataset/`` of a run, a copy of it, or a repository fetched from the Hub.

Its files vouch for each other: Croissant for the content of the tables, and the card for their
numbers. Whoever changes all of them to fit each other is not found here: only the records of the
run, and the Hub's commit, know what they were.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

from laion_eo.hub.cards import CARD, CROISSANT
from laion_eo.hub.releasing import FIGURES
from laion_eo.integrity.datasets.card import check_card, read_card
from laion_eo.integrity.datasets.croissant import check_croissant
from laion_eo.integrity.datasets.published import Published
from laion_eo.integrity.datasets.values import value_faults
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.tables import read_whole, twice
from laion_eo.integrity.walking import is_link, plain_files
from laion_eo.schema import PUBLISHED

_SHARD = re.compile(r"train-(\d{5,})-of-(\d{5,})\.parquet")
_CROISSANT = re.compile(re.escape(CROISSANT).replace(r"\{config\}", r"([A-Za-z0-9][\w.-]*)"))
_OF_THE_HUB = (".gitattributes", ".gitignore", ".git", ".cache")
"""What the Hub or its client adds to a repository, and nobody vouches for."""
MISSING_NAMED = 10
"""Missing files that are named: a foreign name can ask for any number of them."""


def check_dataset(findings: Findings, folder: Path) -> dict[str, Published]:
    """Check a release tree, and return its configurations.

    Args:
        findings: What is found; its root is ``folder``, or the run that the folder is of.
        folder: With the card, ``croissant-<config>.json`` and ``<config>/train-*.parquet``.
    """
    card = read_card(findings, folder / CARD)
    is_local = card is None or card.is_local
    files = list(plain_files(findings, folder, () if is_local else _OF_THE_HUB))
    names = {path.relative_to(folder).as_posix(): path for path in files}
    configs = _configs(names) | (card.folders if card else set())
    if not configs:
        findings.fault(folder, "it has no configuration: no */train-*.parquet")
    elif is_local and len(configs) > 1:
        findings.fault(folder, f"it has {len(configs)} configurations, and a run writes one")
    _refuse_strangers(findings, names, configs, is_local)
    found = {config: _check_config(findings, folder, config, files) for config in sorted(configs)}
    if card is not None:
        check_card(findings, folder / CARD, card, found)
    for config, published in found.items():
        path = folder / CROISSANT.format(config=config)
        check_croissant(findings, path, config, published.files, card)
    return found


def _configs(names: Iterable[str]) -> set[str]:
    """Return every configuration that a file speaks of."""
    found = {match[1] for name in names if (match := _CROISSANT.fullmatch(name))}
    shards = (name.split("/") for name in names)
    return found | {parts[0] for parts in shards if len(parts) == 2 and _SHARD.fullmatch(parts[1])}


def _refuse_strangers(
    findings: Findings, names: dict[str, Path], configs: Collection[str], is_local: bool
) -> None:
    """Note every file that no release has."""
    for name, path in names.items():
        parts = name.split("/")
        ours = (
            name == CARD
            or ((match := _CROISSANT.fullmatch(name)) and match[1] in configs)
            or (len(parts) == 2 and parts[0] in configs and _SHARD.fullmatch(parts[1]))
        )
        if ours:
            continue
        if not is_local and parts[0] == FIGURES:
            findings.note(f"{findings.name(path)}: nothing vouches for it")
        else:
            findings.fault(path, "no dataset of laion-eo has such a file")


def _check_config(
    findings: Findings, folder: Path, config: str, files: Collection[Path]
) -> Published:
    """Read the Parquet files of one configuration."""
    shards = {
        int(match[1]): (path, int(match[2]))
        for path in files
        if path.parent == folder / config and (match := _SHARD.fullmatch(path.name))
    }
    wanted = {total for _, total in shards.values()}
    published = Published([shards[number][0] for number in sorted(shards)])
    total = max(wanted, default=1)
    missing = (number for number in range(total) if number not in shards)
    for number in islice(missing, MISSING_NAMED):
        path = folder / config / f"train-{number:05d}-of-{total:05d}.parquet"
        if not is_link(path):  # that is a fault already
            findings.fault(path, "it is missing")
        published.is_complete = False
    if len(wanted) > 1 or any(number >= total for number in shards):
        findings.fault(folder / config, "its files are of two different sets of train-i-of-n")
        published.is_complete = False
    for path in published.files:
        _read_shard(findings, path, published)
    if repeated := twice(published.table["id"]):
        findings.fault(
            published.files[0] if len(published.files) == 1 else folder / config,
            f"{len(repeated):,} ids are there twice, such as {repeated[0]}",
        )
    return published


def _read_shard(findings: Findings, path: Path, published: Published) -> None:
    published.bytes += path.stat().st_size
    table = read_whole(findings, path, PUBLISHED)
    if table is None:
        published.is_complete = False
        return
    for fault in value_faults(table):
        findings.fault(path, fault)
    published.tables.append(table)
