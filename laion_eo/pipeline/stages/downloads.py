"""Stage ``downloads``: fetch the images and note how each URL ended (section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laion_eo.component import Component
from laion_eo.fingerprint import fingerprint
from laion_eo.images import EXTENSIONS
from laion_eo.kinds import Downloader
from laion_eo.pipeline.bench import identity
from laion_eo.pipeline.contract import check_download, fail
from laion_eo.pipeline.stages.base import ShardedStage, row_ranges
from laion_eo.schema import DOWNLOADS
from laion_eo.types import JSON, Download, DownloadStatus

_MADE_BY = b"laion_eo.downloader"


class Downloads(ShardedStage[tuple[int, int]]):
    """One row per distinct URL. Images that an earlier run here fetched are not fetched again."""

    name = "downloads"
    needs = ("candidates",)

    def components(self) -> Sequence[Component]:
        """Return the downloader."""
        return [self.bench.one(Downloader)]

    @cached_property
    def _urls(self) -> list[str]:
        column = self.run_dir.read("candidates", ["url"])["url"]
        return [url or "" for url in column.unique().to_pylist()]

    @cached_property
    def _maker(self) -> bytes:
        return fingerprint(identity(self.bench.one(Downloader))).encode()

    @cached_property
    def _fetched(self) -> dict[str, dict[str, JSON]]:
        """The rows of earlier successes with the same options, whose images are still there."""
        rows: dict[str, dict[str, JSON]] = {}
        for part in self.run_dir.parts(self.name):
            table = pq.read_table(part)
            if (table.schema.metadata or {}).get(_MADE_BY) == self._maker:
                good = table.filter(pc.equal(table["status"], DownloadStatus.OK.value))
                rows |= {row["url"]: row for row in good.to_pylist()}
        images = {path.name for path in self.run_dir.images.glob("*")}
        return {url: row for url, row in rows.items() if row["filename"] in images}

    def shards(self) -> Sequence[tuple[int, int]]:
        """Return ranges of URLs."""
        return row_ranges(len(self._urls), self.bench.config.engine.batch_rows)

    def process(self, shard: tuple[int, int]) -> pa.Table:
        """Fetch a range of URLs, store the images, and return one row for each URL."""
        urls = self._urls[slice(*shard)]
        rows = {url: self._fetched[url] for url in urls if url in self._fetched}
        todo = [url for url in urls if url not in rows]
        if todo:
            downloader = self.bench.ready(self.bench.one(Downloader))
            asked = frozenset(todo)
            for download in downloader.download(todo):
                rows[download.url] = self._store(check_download(downloader, download, asked))
            if missing := [url for url in urls if url not in rows]:
                raise fail(downloader, f"no answer for {len(missing)} URLs: {missing[0]!r}, ...")
        schema = DOWNLOADS.with_metadata({_MADE_BY: self._maker})
        return pa.Table.from_pylist([rows[url] for url in urls], schema=schema)

    def _store(self, download: Download) -> dict[str, JSON]:
        row = asdict(download)
        content = row.pop("content")
        row |= {"status": download.status.value, "filename": None, "bytes": None}
        if download.status is DownloadStatus.OK:
            name = str(download.format)
            extension = EXTENSIONS.get(name, name.lower())
            row["filename"] = f"{download.sha256}.{extension}"
            row["bytes"] = len(content)
            self.run_dir.write_image(row["filename"], content)
        return row

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the URLs by status."""
        statuses = table["status"]
        counted = statuses.value_counts().to_pylist()
        return {"urls": len(statuses)} | {
            entry["values"]: entry["counts"]
            for entry in sorted(counted, key=lambda e: -e["counts"])
        }
