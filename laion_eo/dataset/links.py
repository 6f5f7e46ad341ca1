"""Checks the links of a dataset: the Python call behind ``laion-eo check-links``.

The images are fetched by a downloader, as in a run: with its rate limits, its checks of addresses
and whatever rules of the sites it obeys. Only a fetched image shows whether it is still the one of
the dataset. The result is a file of its own; the dataset is never changed.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError, RunError
from laion_eo.files import write_atomically, written_aside
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import Downloader
from laion_eo.redaction import redacted
from laion_eo.registry import Registry
from laion_eo.schema import LINKS
from laion_eo.types import JSON, Download

logger = logging.getLogger("laion_eo")

BATCH = 512
COLUMNS = ("url", "filename", "height", "width")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image of the dataset, as far as the check of its link needs it.

    Attributes:
        url: Where it was.
        filename: Begins with its SHA-256, where it was stored under that.
        height: Pixels.
        width: Pixels.
    """

    url: str
    filename: str | None = None
    height: int | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedLink:
    """One row of the result: the columns of :data:`laion_eo.schema.LINKS`."""

    url: str
    status: str
    reason: str
    http_code: int | None
    changed: bool | None
    final_url: str | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How some of the links ended.

    Attributes:
        status: A value of :class:`laion_eo.types.DownloadStatus`.
        http_code: Status code of the last response; ``None`` where no server responded.
        links: How many links ended so.
        example: The reason of one of them.
    """

    status: str
    http_code: int | None
    links: int
    example: str


@dataclass(frozen=True)
class LinkReport:
    """The result of a check.

    Attributes:
        path: Parquet file with the columns of :data:`laion_eo.schema.LINKS`, one row per URL.
        outcomes: How the links ended, the most frequent outcome first.
        changed: How many of those that are alive show another image than the dataset's.
    """

    path: Path
    outcomes: tuple[Outcome, ...]
    changed: int


def check_links(
    dataset: str | Path,
    out: str | Path,
    config: str | None = None,
    downloader: Mapping[str, JSON] | None = None,
    registry: Registry | None = None,
    batch: int = BATCH,
) -> LinkReport:
    """Fetch every image of a dataset once and record how that ended, and when.

    A check that was interrupted resumes when it is started again.

    Args:
        dataset: A run directory, a release tree or a parquet file; otherwise, a name for
            ``load_dataset``, such as ``laion_eo`` or ``ORG/NAME``.
        out: The parquet file to write; it must neither exist nor lie in the dataset.
        config: The configuration, where there are several.
        downloader: As in a run file, such as ``{"use": "http", "timeout": 10}``.
        registry: Where components are found; the installed plugins by default.
        batch: Links checked before their results are saved; an interruption loses at most so many.

    Raises:
        ConfigError: ``out`` would overwrite something, there is no such dataset, or links leave
            this machine and nobody gave a contact.
        DataError: The dataset has no column ``url``.
        RunError: The downloader gave no result for a URL.
    """
    path = Path(out)
    _check_out(path, Path(dataset))
    rows = [ListedImage(**row) for row in _rows(dataset, config).to_pylist() if row["url"]]
    listed = {row.url: row for row in rows}
    registry = registry or Registry.discover()
    context = Context(purpose=f"checks the links of a dataset: {Path(dataset).name}")
    options = {"use": "http", **(downloader or {})}
    fetcher = registry.build(Downloader, options, "check-links", context)
    # The parts are named after the links: those of a check of other links are never resumed.
    links = fingerprint([asdict(row) for row in listed.values()])
    parts = path.with_name(f".{path.name}.{links}.parts")
    fetcher.check()
    parts.mkdir(parents=True, exist_ok=True)
    fetcher.setup()
    try:
        table = _fetch_rest(fetcher, listed, parts, registry, batch)
    finally:
        fetcher.close()
    _write(path, table)
    shutil.rmtree(parts)
    return _report(path, table)


def _fetch_rest(
    fetcher: Downloader,
    listed: Mapping[str, ListedImage],
    parts: Path,
    registry: Registry,
    batch: int,
) -> pa.Table:
    """Return the result for all links; those of finished parts are not fetched again."""
    tables = list(_kept(parts))
    done = {url for table in tables for url in table["url"].to_pylist()}
    todo = [url for url in listed if url not in done]
    for start in range(0, len(todo), batch):
        table = _check(fetcher, todo[start : start + batch], listed)
        _keep(parts, len(tables), table)
        tables.append(table)
        finished = len(done) + min(start + batch, len(todo))
        registry.manager.hook.laion_eo_after_batch(stage="links", done=finished, total=len(listed))
    return pa.concat_tables([LINKS.empty_table(), *tables])


def _keep(parts: Path, number: int, table: pa.Table) -> None:
    """Keep some results, in a file whose name has the hash of its content."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    write_atomically(parts / f"part-{number:06d}-{_hash(content)}.parquet", content)


def _kept(parts: Path) -> Iterator[pa.Table]:
    """Yield what is kept; the links of a damaged file are checked again."""
    for path in sorted(parts.glob("part-*.parquet")):
        content = path.read_bytes()
        if path.stem.rpartition("-")[2] == _hash(content):
            yield pq.read_table(pa.BufferReader(content))
        else:
            logger.warning("%s: damaged; its links are checked again", path)
            path.unlink()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _check_out(path: Path, dataset: Path) -> None:
    if path.exists():
        raise ConfigError(f"{path} exists; a report is never overwritten: choose another name.")
    if dataset.is_dir() and path.resolve().is_relative_to(dataset.resolve()):
        raise ConfigError(f"{path} lies in the dataset, which must stay as it was released.")


def _rows(dataset: str | Path, config: str | None) -> pa.Table:
    """Return those of :data:`COLUMNS` that the dataset has."""
    path = Path(dataset)
    if not path.exists():
        return _named_rows(str(dataset), config)
    home = path / "dataset" if (path / "dataset").is_dir() else path
    files = sorted(home.rglob("*.parquet")) if home.is_dir() else [home]
    configs = {file.parent.name for file in files} if home.is_dir() else set()
    if config is not None:
        files = [file for file in files if file.parent.name == config]
    elif len(configs) > 1:
        raise ConfigError(
            f"{path}: several configurations, name one: {', '.join(sorted(configs))}."
        )
    if not files:
        raise ConfigError(f"{path}: no parquet files in it{f' for {config}' if config else ''}.")
    return pa.concat_tables(map(_read, files))


def _read(file: Path) -> pa.Table:
    try:
        names = pq.read_schema(file).names
        if "url" not in names:
            raise DataError(f"{file}: no column 'url'; its columns are {', '.join(names)}.")
        return pq.read_table(file, columns=[name for name in COLUMNS if name in names])
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}: not a parquet file: {error}") from None


def _named_rows(name: str, config: str | None) -> pa.Table:
    from datasets.exceptions import DatasetNotFoundError

    from laion_eo.dataset.loading import load_dataset

    try:
        rows = load_dataset(name, config, split="train")
    except (DatasetNotFoundError, FileNotFoundError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error
    columns = [column for column in COLUMNS if column in rows.column_names]
    if "url" not in columns:
        raise DataError(f"{name}: no column 'url'; its columns are {', '.join(rows.column_names)}.")
    return rows.select_columns(columns).with_format("arrow")[:]


def _check(
    downloader: Downloader, urls: Sequence[str], listed: Mapping[str, ListedImage]
) -> pa.Table:
    rows = [_checked(download, listed[download.url]) for download in downloader.download(urls)]
    if missing := set(urls) - {row.url for row in rows}:
        raise RunError(
            f"the downloader {downloader.name!r} returned nothing for {len(missing)} URLs, such as "
            f"{min(missing)!r}: it breaks its contract."
        )
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=LINKS)


def _checked(download: Download, listed: ListedImage) -> CheckedLink:
    return CheckedLink(
        url=download.url,
        status=download.status.value,
        reason=redacted(download.reason),
        http_code=download.http_code,
        changed=_changed(download, listed),
        final_url=download.final_url,
        checked_at=download.fetched_at,
    )


def _changed(download: Download, listed: ListedImage) -> bool | None:
    """Return whether another image came; ``None`` if none came, or if nothing tells them apart."""
    if download.sha256 is None:
        return None
    sha256 = _SHA256.match(listed.filename or "")
    if sha256 is not None:
        return download.sha256 != sha256[0]
    if listed.height is None or listed.width is None:
        return None
    return (listed.height, listed.width) != (download.height, download.width)


def _write(path: Path, table: pa.Table) -> None:
    with written_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def _report(path: Path, table: pa.Table) -> LinkReport:
    ends = list(zip(table["status"].to_pylist(), table["http_code"].to_pylist(), strict=True))
    examples = dict(zip(ends, table["reason"].to_pylist(), strict=True))
    outcomes = tuple(
        Outcome(status, code, count, examples[status, code])
        for (status, code), count in Counter(ends).most_common()
    )
    return LinkReport(path, outcomes, table["changed"].to_pylist().count(True))
