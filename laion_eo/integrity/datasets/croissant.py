"""The Croissant metadata: the hash of every file, and its columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from laion_eo.dataset.croissant import VERSION, Croissant, croissant
from laion_eo.errors import ConfigError
from laion_eo.fingerprint import file_sha256
from laion_eo.hub.cards import CROISSANT
from laion_eo.integrity.datasets.card import Card, read_small
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.tables import shortened
from laion_eo.schema import PUBLISHED
from laion_eo.version import __version__


def check_croissant(
    findings: Findings, path: Path, config: str, files: Sequence[Path], card: Card | None
) -> None:
    """Compare the Croissant metadata of a configuration with its files, whose hashes it has.

    Args:
        findings: Where faults go.
        path: The metadata's file.
        config: The configuration.
        files: Its Parquet files.
        card: The card beside them.
    """
    content = read_small(findings, path)
    if content is None:
        return
    try:
        # The same as the file's bytes in all that JSON can say; a duplicate key would hide another.
        data = json.loads(content, object_pairs_hook=_without_repeats)
        found = Croissant.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        findings.fault(path, f"it is no Croissant of laion-eo: {place}: {shortened(first['msg'])}")
        return
    except (ValueError, RecursionError) as error:
        findings.fault(path, f"it is no JSON: {shortened(error)}")
        return
    findings.checked(len(content))
    for fault in _faults(findings, found, config, files):
        findings.fault(path, fault)
    if card is not None and card.is_local and card.version == __version__:
        try:
            wanted = croissant(config, files, card.text).model_dump(by_alias=True, mode="json")
        except ConfigError:
            return  # the card's fault is known
        if not findings.is_faulty(path) and data != wanted:
            keys = [key for key in {**wanted, **data} if wanted.get(key) != data.get(key)]
            findings.fault(path, f"its {keys[0]!r} is not what laion-eo writes for these files")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _faults(
    findings: Findings, found: Croissant, config: str, files: Sequence[Path]
) -> Iterator[str]:
    if found.conforms_to != VERSION:
        yield f"it conforms to {found.conforms_to!r} instead of {VERSION!r}"
    hashes = {entry.content_url: entry.sha256 for entry in found.distribution}
    if len(hashes) != len(found.distribution):
        yield "it names a file twice"
    for path in files:
        known = hashes.pop(f"{config}/{path.name}", None)
        if known is None:
            yield f"it does not name {config}/{path.name}"
            continue
        findings.checked(path.stat().st_size)
        if known != file_sha256(path):
            where = CROISSANT.format(config=config)
            findings.fault(path, f"its content is not that of the SHA-256 in {where}")
    for name in hashes:
        yield f"it names {name!r}, which is not there"
    if len(found.record_set) != len(files):
        yield f"it has {len(found.record_set)} record sets for {len(files)} files"
    for record_set in found.record_set:
        if [field.name for field in record_set.field] != PUBLISHED.names:
            yield f"the fields of its record set {record_set.name!r} are not the published columns"
