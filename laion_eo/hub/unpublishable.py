"""Rows that may not be published: they stop a release, or are left out of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.errors import DataError
from laion_eo.file_record import record_file
from laion_eo.hub.card_numbers import COLUMNS, Numbers, Sizes, renumber
from laion_eo.hub.cards import CARD, CROISSANT, extend_section
from laion_eo.hub.public_urls import UrlFault, fault_of_url, shown
from laion_eo.hub.shards import write_shard
from laion_eo.kinds import Release
from laion_eo.schema import PUBLISHED

URL_COLUMNS = tuple(
    name for name in PUBLISHED.names if name == "url" or name.endswith(("_url", "_uri"))
)
"""The published columns that hold URLs."""
EXAMPLES = 3


@dataclass(frozen=True)
class Findings:
    """What is wrong with the URLs of a release.

    Attributes:
        faults: Of each row of each parquet file, in order.
    """

    faults: dict[Path, list[UrlFault | None]]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(map(len, self.faults.values()))

    @property
    def counts(self) -> Counter[UrlFault]:
        """The rows that may not be published, by reason."""
        return Counter(fault for rows in self.faults.values() for fault in rows if fault)


@dataclass(frozen=True)
class Dropped:
    """Rows that a release leaves out.

    Attributes:
        ids: Their ids, by why their URL may not be published.
    """

    ids: dict[UrlFault, list[int | None]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows, by reason."""
        return {fault.value: len(ids) for fault, ids in self.ids.items()}

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.counts.values())


def guard_rows(release: Release, drop: bool) -> tuple[Release, Dropped]:
    """Refuse a release with rows that may not be published, or leave them out.

    Args:
        release: Of a copy, whose files are replaced where rows are left out.
        drop: Whether to leave them out.

    Returns:
        The release, and what it leaves out.

    Raises:
        DataError: There are such rows, and they are not to be left out, or no other is left; or
            its files are not those of a dataset.
    """
    found = Findings({path: _faults(path) for path in _shards(release)})
    bad = found.counts.total()
    if not bad:
        return release, Dropped()
    if not drop:
        raise DataError(_refusal(release, found))
    if bad == found.total:
        raise DataError(
            f"{release.config}: none of its {bad:,} rows can be published ({_counted(found)}); "
            "nothing is left to release."
        )
    dropped = _dropped(found)
    return _without(release, found, dropped), dropped


def _shards(release: Release) -> list[Path]:
    """Return the parquet files, after checking that nobody could hide rows in other files."""
    others = {CARD, CROISSANT.format(config=release.config)}
    shards = sorted(name for name in release.paths() if name not in others)
    count = len(shards)
    wanted = [f"{release.config}/train-{n:05d}-of-{count:05d}.parquet" for n in range(count)]
    if not shards or shards != wanted:
        odd = next((name for name in shards if name not in wanted), "train-*.parquet")
        raise DataError(
            f"{release.config}: {odd!r} is not a file of a complete dataset; run `laion-eo run` "
            "again."
        )
    paths = [release.folder / name for name in shards]
    for path in paths:
        with _readable(path):
            schema = pq.read_schema(path).remove_metadata()
        if schema != PUBLISHED:
            raise DataError(f"{path.name}: not the published columns; run `laion-eo run` again.")
    return paths


def _faults(path: Path) -> list[UrlFault | None]:
    """Return what is wrong with the URLs of each row of a file."""
    faults: list[UrlFault | None] = []
    with _readable(path):
        for batch in pq.ParquetFile(path).iter_batches(columns=list(URL_COLUMNS)):
            rows = zip(*(batch[name].to_pylist() for name in URL_COLUMNS), strict=True)
            faults += [next(filter(None, map(fault_of_url, urls)), None) for urls in rows]
    return faults


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file that was damaged before it was recorded."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise DataError(f"{path.name}: damaged; run `laion-eo run` again.") from None


def _refusal(release: Release, found: Findings) -> str:
    bad = found.counts.total()
    examples = ", ".join(f"'{url}'" for url in _examples(found))
    return (
        f"{release.config}: {bad:,} of {found.total:,} rows cannot be published, by their URL: "
        f"{_counted(found)}; such as {examples}. Filter them out of the run, or "
        "leave them out of the release with --drop-unpublishable (drop_unpublishable = true in a "
        "run file)."
    )


def _counted(found: Findings) -> str:
    return ", ".join(f"{count:,} {fault.value}" for fault, count in found.counts.most_common())


def _examples(found: Findings) -> list[str]:
    """Return URLs without their secrets, of different faults first."""
    firsts: dict[UrlFault, str] = {}
    others: list[str] = []
    for path, faults in found.faults.items():
        table = pq.ParquetFile(path).read(columns=list(URL_COLUMNS))
        bad = table.filter(pa.array([fault is not None for fault in faults], pa.bool_()))
        for fault, row in zip(filter(None, faults), bad.to_pylist(), strict=True):
            url = next(url for url in row.values() if fault_of_url(url) is fault)
            if fault not in firsts:
                firsts[fault] = shown(url)
            elif len(others) < EXAMPLES:
                others.append(shown(url))
    return [*firsts.values(), *others][:EXAMPLES]


def _dropped(found: Findings) -> Dropped:
    ids: dict[UrlFault, list[int | None]] = {}
    for path, faults in found.faults.items():
        column = pq.ParquetFile(path).read(columns=["id"])["id"].to_pylist()
        for number, fault in zip(column, faults, strict=True):
            if fault is not None:
                ids.setdefault(fault, []).append(number)
    return Dropped(ids)


def _without(release: Release, found: Findings, dropped: Dropped) -> Release:
    """Write the parquet files anew without the rows, and what speaks of them."""
    folder = release.folder
    old = _numbers(found)
    memory, shards = 0, {}
    for path, faults in found.faults.items():
        kept = (
            pq.ParquetFile(path)
            .read()
            .filter(pa.array([fault is None for fault in faults], pa.bool_()))
        )
        path.unlink()
        write_shard(path, kept)
        memory += pq.ParquetFile(path).read().nbytes
        record = record_file(folder, path, kept.num_rows)
        shards[record.path] = record
    new = _numbers(found)
    sizes = Sizes(memory, sum(record.bytes for record in shards.values()))
    card = renumber((folder / CARD).read_text("utf-8"), release.config, old, new, sizes)
    (folder / CARD).write_text(extend_section(card, release.config, _left_out(dropped)), "utf-8")
    hashes = {name: record.sha256 for name, record in shards.items()}
    croissant = CROISSANT.format(config=release.config)
    if croissant in release.paths():
        _rehash(folder / croissant, hashes)
    others = [record.path for record in release.files if record.path not in shards]
    again = {name: record_file(folder, folder / name) for name in others} | shards
    return replace(release, files=tuple(again[record.path] for record in release.files))


def _numbers(found: Findings) -> Numbers:
    def read(path: Path) -> pa.Table:
        with _readable(path):
            return pq.ParquetFile(path).read(columns=list(COLUMNS))

    return Numbers(map(read, found.faults))


def _left_out(dropped: Dropped) -> str:
    rows = "\n".join(f"| {reason} | {count:,} |" for reason, count in dropped.counts.items())
    return (
        f"### Left out of this release\n\n{dropped.rows:,} of the rows that the run kept are not "
        f"in this release, because of their URL:\n\n| URL | rows |\n|---|---:|\n{rows}"
    )


def _rehash(path: Path, hashes: dict[str, str]) -> None:
    """Let Croissant metadata have the hashes of the files that were written anew."""
    try:
        metadata = json.loads(path.read_bytes())
        for file in metadata["distribution"]:
            file["sha256"] = hashes[file["contentUrl"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{path.name}: not the metadata of the dataset; run `laion-eo run` again."
        ) from None
    path.write_text(f"{json.dumps(metadata, indent=1, ensure_ascii=False)}\n", "utf-8")
