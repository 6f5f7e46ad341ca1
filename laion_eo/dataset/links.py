"""Checks a dataset's links: the Python face of ``laion-eo check-links``.

The images are fetched, as in a run, by a downloader: with its pace per host, its address checks
and whatever rules of the sites it obeys. Only so can a link that shows another image by now be told
from one that is alive. The result is a file of its own; the dataset is never changed.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError, RunError
from laion_eo.files import written_aside
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import Downloader
from laion_eo.registry import Registry
from laion_eo.schema import LINKS
from laion_eo.types import JSON, Download

BATCH = 512
COLUMNS = ("url", "filename", "height", "width")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LinkReport:
    """What became of the links.

    Attributes:
        path: Parquet file with the columns of :data:`laion_eo.schema.LINKS`, one row per URL.
        counts: How many ended so, by (status, HTTP code or None), the most frequent first.
        changed: How many of those that are alive show another image than the dataset's.
        examples: A reason for each of ``counts``.
    """

    path: Path
    counts: dict[tuple[str, int | None], int]
    changed: int
    examples: dict[tuple[str, int | None], str]


def check_links(
    dataset: str | Path,
    out: str | Path,
    config: str | None = None,
    downloader: Mapping[str, JSON] | None = None,
    registry: Registry | None = None,
) -> LinkReport:
    """Fetch every image of a dataset once and note how that ended, and when.

    A call that is cut short goes on where it was if it is made again.

    Args:
        dataset: A run directory, a release tree or a parquet file; else what ``load_dataset``
            knows by that name, such as ``laion_eo`` or ``ORG/NAME``.
        out: The parquet file to write; it must not exist, nor lie in the dataset.
        config: The configuration, where there are several.
        downloader: As in a run file, such as ``{"use": "http", "timeout": 10}``.
        registry: Where components are found; the installed plugins by default.

    Raises:
        ConfigError: ``out`` would overwrite something, there is no such dataset, or links leave
            this machine and nobody gave a contact.
        DataError: The dataset has no column ``url``.
        RunError: The downloader did not answer for a URL.
    """
    path = Path(out)
    _check_place(path, Path(dataset))
    known = {row["url"]: row for row in _rows(dataset, config).to_pylist() if row["url"]}
    registry = registry or Registry.discover()
    context = Context(purpose=f"checks the links of a dataset: {Path(dataset).name}")
    options = {"use": "http", **(downloader or {})}
    fetcher = registry.build(Downloader, options, "check-links", context)
    # What is left of a check of other links is nothing to go on with.
    parts = path.with_name(f".{path.name}.{fingerprint(list(known.values()))}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    fetcher.setup()
    try:
        whole = _fetch_rest(fetcher, known, parts, registry)
    finally:
        fetcher.close()
    _write(path, whole)
    shutil.rmtree(parts)
    return _report(path, whole)


def _fetch_rest(
    fetcher: Downloader, known: Mapping[str, JSON], parts: Path, registry: Registry
) -> pa.Table:
    """Return what became of all links; those of finished parts are not asked for again."""
    tables = [pq.read_table(part) for part in sorted(parts.glob("part-*.parquet"))]
    done = {url for table in tables for url in table["url"].to_pylist()}
    todo = [url for url in known if url not in done]
    for start in range(0, len(todo), BATCH):
        table = _check(fetcher, todo[start : start + BATCH], known)
        _write(parts / f"part-{len(tables):06d}.parquet", table)
        tables.append(table)
        finished = len(done) + min(start + BATCH, len(todo))
        registry.manager.hook.laion_eo_after_batch(stage="links", done=finished, total=len(known))
    return pa.concat_tables([LINKS.empty_table(), *tables])


def _check_place(path: Path, dataset: Path) -> None:
    if path.exists():
        raise ConfigError(f"{path} exists; a report is never overwritten: choose another name.")
    if dataset.is_dir() and path.resolve().is_relative_to(dataset.resolve()):
        raise ConfigError(f"{path} lies in the dataset, which must stay as it was released.")


def _rows(dataset: str | Path, config: str | None) -> pa.Table:
    """Return the columns of a dataset that matter here."""
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
        raise ConfigError(f"{path}: no parquet files in there{f' for {config}' if config else ''}.")
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
    downloader: Downloader, urls: Sequence[str], known: Mapping[str, Mapping[str, JSON]]
) -> pa.Table:
    rows = [_row(download, known[download.url]) for download in downloader.download(urls)]
    if missing := set(urls) - {row["url"] for row in rows}:
        raise RunError(
            f"the downloader {downloader.name!r} gave no answer for {len(missing)} URLs, such as "
            f"{min(missing)!r}: it breaks its contract."
        )
    return pa.Table.from_pylist(rows, schema=LINKS)


def _row(download: Download, known: Mapping[str, JSON]) -> dict[str, JSON]:
    return {
        "url": download.url,
        "status": download.status.value,
        "reason": download.reason,
        "http_code": download.http_code,
        "changed": _changed(download, known),
        "final_url": download.final_url,
        "checked_at": download.fetched_at,
    }


def _changed(download: Download, known: Mapping[str, JSON]) -> bool | None:
    """Tell whether the image is another one by now; ``None`` if none came, or none can tell."""
    if download.sha256 is None:
        return None
    name = _SHA256.match(known.get("filename") or "")
    if name is not None:
        return download.sha256 != name[0]
    sizes = known.get("height"), known.get("width")
    return sizes != (download.height, download.width) if None not in sizes else None


def _write(path: Path, table: pa.Table) -> None:
    with written_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def _report(path: Path, table: pa.Table) -> LinkReport:
    ends = list(zip(table["status"].to_pylist(), table["http_code"].to_pylist(), strict=True))
    examples = dict(zip(ends, table["reason"].to_pylist(), strict=True))
    changed = table["changed"].to_pylist().count(True)
    return LinkReport(path, dict(Counter(ends).most_common()), changed, examples)


def counted(report: LinkReport) -> Iterator[tuple[str, str, int, str]]:
    """Yield status, HTTP code, number of URLs and an example of a reason, for tables."""
    for end, count in report.counts.items():
        status, code = end
        yield status, "" if code is None else str(code), count, report.examples[end]
