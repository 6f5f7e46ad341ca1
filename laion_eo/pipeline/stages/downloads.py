"""Stage ``downloads``: fetch the images and note how each URL ended (section 2.2)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.component import Component
from laion_eo.fingerprint import fingerprint
from laion_eo.images import EXTENSIONS
from laion_eo.kinds import Downloader
from laion_eo.kinds.blaming import each
from laion_eo.kinds.contract import check_download, fail
from laion_eo.pipeline.journal import Journal, Row
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.stages.base import Rows, StreamStage, row_ranges
from laion_eo.pipeline.stages.image_writer import ImageWriter
from laion_eo.pipeline.stages.stored_images import StoredImages
from laion_eo.pipeline.workbench import identity
from laion_eo.redaction import redacted
from laion_eo.schema import DOWNLOADS
from laion_eo.types import Download, DownloadStatus

logger = logging.getLogger("laion_eo")

_MADE_BY = b"laion_eo.downloader"
_WITH_IMAGE = [status.value for status in DownloadStatus if status.has_image]
_FIELDS = [field.name for field in fields(Download) if field.name != "content"]


class Downloads(StreamStage):
    """One row per distinct URL. What an earlier run here fetched is not fetched again.

    All URLs go to the downloader at once, in one process, whatever the engine: rate limits
    (connections, delays, robots.txt) can be kept only where all requests to a host are known. Rows
    go to a journal as they come, so that a killed run loses only the downloads in progress.
    """

    name = "downloads"
    needs = ("candidates",)

    def components(self) -> Sequence[Component]:
        """Return the downloader."""
        return [self.workbench.one(Downloader)]

    @cached_property
    def _urls(self) -> list[str]:
        column = self.run_dir.read("candidates", ["url"])["url"]
        urls: list[str] = pc.fill_null(column, "").unique().to_pylist()
        return urls

    @cached_property
    def _maker(self) -> str:
        return fingerprint(identity(self.workbench.one(Downloader)))

    @cached_property
    def _ranges(self) -> list[Rows]:
        return row_ranges(len(self._urls), self.workbench.config.engine.batch_rows)

    def total(self) -> int:
        """Return the number of parts."""
        return len(self._ranges)

    def parts(self, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the parts that are not done, each as soon as its last URL has ended."""
        todo = [index for index in range(self.total()) if index not in done]
        part_of = {url: index for index in todo for url in self._urls[slice(*self._ranges[index])]}
        left = {index: self._ranges[index][1] - self._ranges[index][0] for index in todo}
        rows: dict[str, Row] = {}
        full: deque[tuple[int, int]] = deque()
        name = f"journal-{fingerprint([self._maker, self._urls])}.jsonl"
        journal_path = self.run_dir.path / self.name / name
        with Journal(journal_path) as journal, ImageWriter(self.run_dir.images) as images:
            for url, row in self._rows(part_of, journal, images):
                index = part_of[url]
                rows[url] = row
                left[index] -= 1
                if not left[index]:
                    full.append((index, images.written))
                # A part whose images are not on the disk yet waits, while others come.
                while full and images.are_on_disk(full[0][1]):
                    yield full[0][0], self._part(full.popleft()[0], rows)
            for index, written in full:
                images.are_on_disk(written, wait=True)
                yield index, self._part(index, rows)
        if not self._urls and todo:
            yield 0, self._part(0, rows)

    def _part(self, index: int, rows: dict[str, Row]) -> pa.Table:
        """Make one part, taking its rows out of ``rows``."""
        schema = DOWNLOADS.with_metadata({_MADE_BY: self._maker.encode()})
        urls = self._urls[slice(*self._ranges[index])]
        return pa.Table.from_pylist([rows.pop(url) for url in urls], schema=schema)

    def _rows(
        self, wanted: Collection[str], journal: Journal, images: ImageWriter
    ) -> Iterator[tuple[str, Row]]:
        """Yield each URL with its row: the known ones, then the others as they come."""
        known = {str(row["url"]): row for row in journal.rows() if row["url"] in wanted}
        known |= self._earlier([url for url in wanted if url not in known])
        lost = {url: row for url, row in known.items() if not self._is_stored(row)}
        self._forget(lost.values())
        todo = [url for url in wanted if url not in known or url in lost]
        yield from ((url, row) for url, row in known.items() if url not in lost)
        known.clear()
        missing = set(todo)
        downloader = self.workbench.ready(self.workbench.one(Downloader))
        for download in each(downloader, downloader.download(todo)) if todo else ():
            check_download(downloader, download, missing)
            missing.remove(download.url)
            row = _row(download)
            if row["filename"] is not None and download.content is not None:
                images.write(str(row["filename"]), download.content)
            before = lost.get(download.url, row)
            if before["filename"] == row["filename"]:
                row = before  # the same image again: nothing that was made of it has changed
            journal.append(row)
            yield download.url, row
        if missing:
            raise fail(downloader, f"no answer for {len(missing)} URLs: {min(missing)!r}, ...")

    def _earlier(self, urls: Sequence[str]) -> dict[str, Row]:
        """Return the rows of earlier successes with the same options."""
        rows: dict[str, Row] = {}
        wanted = pa.array(urls, pa.string())
        for part in self.run_dir.sound_parts(self.name):
            table = self.run_dir.read_table(part)
            if (table.schema.metadata or {}).get(_MADE_BY) == self._maker.encode():
                good = pc.is_in(table["status"], value_set=pa.array(_WITH_IMAGE))
                asked = pc.is_in(table["url"], value_set=wanted)
                rows |= {row["url"]: row for row in table.filter(pc.and_(good, asked)).to_pylist()}
        return rows

    def _is_stored(self, row: Row) -> bool:
        """Tell whether the row's image, if it has one, is there and undamaged."""
        name, size = row["filename"], row["bytes"]
        return name is None or self._images.is_sound(str(name), int(str(size)))

    def _forget(self, lost: Collection[Row]) -> None:
        """Delete images that are damaged; they are fetched again."""
        for row in lost:
            (self.run_dir.images / str(row["filename"])).unlink(missing_ok=True)
        if lost:
            logger.warning(
                "%s: %d are gone or damaged, such as %s; they are fetched again",
                self.run_dir.images,
                len(lost),
                next(iter(lost))["filename"],
            )

    @cached_property
    def _images(self) -> StoredImages:
        return StoredImages(self.run_dir.images, thorough=self.run_dir.thorough)

    def intact(self, work: Work, done: set[int]) -> set[int]:
        """Return those of the finished parts all of whose images are there and undamaged."""
        return {index for index in done if self._has_images(self.run_dir.part(work, index))}

    def _has_images(self, part: Path) -> bool:
        rows = self.run_dir.read_table(part, ["filename", "bytes"]).to_pylist()
        return all(self._is_stored(row) for row in rows)

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the URLs by status."""
        statuses = table["status"]
        counted = statuses.value_counts().to_pylist()
        return {"urls": len(statuses)} | {
            entry["values"]: entry["counts"]
            for entry in sorted(counted, key=lambda e: -e["counts"])
        }


def _row(download: Download) -> Row:
    row: Row = {field: getattr(download, field) for field in _FIELDS}
    row |= {"status": download.status.value, "filename": None, "bytes": None}
    row["reason"] = redacted(download.reason)
    if download.status.has_image and download.content is not None:
        name = str(download.format)
        filename = f"{download.sha256}.{EXTENSIONS.get(name, name.lower())}"
        row |= {"filename": filename, "bytes": len(download.content)}
    return row
