"""Makes a shard of a pool, piece by piece, and tells whether one that is there is still right."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic_core import to_jsonable_python

from laion_eo.builtin.retrievers.pool_record import PoolRecord
from laion_eo.file_record import fault_of
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import Embedder
from laion_eo.kinds.contract import check_embeddings, check_facts
from laion_eo.pools.contents import (
    Stamp,
    content_of,
    digest_of_contents,
    digest_of_stamps,
    stamp_of,
)
from laion_eo.pools.pieces import PIECE, Pieces
from laion_eo.pools.pool_folder import PIECES
from laion_eo.pools.shards import (
    Shard,
    ShardRecord,
    remove_shard_record,
    write_shard,
    write_shard_record,
)
from laion_eo.pools.sources import Listed, PoolSource, public_url
from laion_eo.redaction import redacted_json
from laion_eo.types import JSON, Picture

logger = logging.getLogger("laion_eo")

LAYOUT = 2
"""Of the shards' files and records; raised where those of before must not be taken over."""


@dataclass(frozen=True)
class Saving:
    """When a shard in progress is saved: whichever comes first.

    Attributes:
        rows: Images.
        seconds: Seconds since it was last saved.
        clock: Gives the seconds.
    """

    rows: int
    seconds: float
    clock: Callable[[], float]


@dataclass(frozen=True)
class ShardMaker:
    """Makes the shards of one pool.

    Attributes:
        source: Lists and loads the images.
        out: The pool's folder.
        model: An embedder that is set up.
        prefix: Prefix that turns the images' paths into URLs.
        batch_rows: Images that are decoded and embedded together.
        saving: When a shard in progress is saved.
    """

    source: PoolSource
    out: Path
    model: Embedder
    prefix: str
    batch_rows: int
    saving: Saving

    @cached_property
    def pieces(self) -> Pieces:
        """What is saved of a shard in progress."""
        return Pieces(self.out / PIECES)

    @cached_property
    def _made_with(self) -> JSON:
        weights = facts_of(self.model).get("weights_sha256")
        return [LAYOUT, self.model.model_id, int(self.model.dim), weights, self.prefix]

    def _made_from(self, entries: Sequence[Listed], *more: JSON) -> str:
        rows = [(entry.path, entry.caption, entry.url) for entry in entries]
        return fingerprint([self._made_with, rows, *more])

    def kept(
        self, shards: Sequence[Shard], found: Mapping[str, ShardRecord]
    ) -> dict[int, ShardRecord]:
        """Return the records of the shards that are there and still right, by number.

        What is damaged, and whose images have changed, gets a log line.

        Args:
            shards: All shards.
            found: The records that are there, by stem.
        """
        by_number = {int(stem): record for stem, record in sorted(found.items())}
        kept, other = {}, 0
        for shard in shards:
            record = found.get(shard.stem) or by_number.get(shard.number)
            if record and record.made_from != self._made_from(shard.entries):
                other += 1
            elif record and (current := self._current(shard, record)):
                kept[shard.number] = current
        if other:
            logger.info(
                "index: %d of %d shards were made from other images, captions or URLs, or with "
                "another model; they are made again",
                other,
                len(shards),
            )
        return kept

    def _current(self, shard: Shard, record: ShardRecord) -> ShardRecord | None:
        """Return the record of a shard, unless its files are damaged or its images have changed."""
        count = len(shard.entries)
        for file in record.files:
            if fault := fault_of(self.out, file):
                path = self.out / file.path
                logger.warning("%s: %s; its %d images are embedded again", path, fault, count)
                return None
        stamps = digest_of_stamps(stamp_of(self.source, entry) for entry in shard.entries)
        if stamps == record.stamps:
            return record
        contents = digest_of_contents(content_of(self.source, entry) for entry in shard.entries)
        if contents != record.contents:
            path = self.out / record.files[0].path
            logger.info("%s: images have changed; its %d images are embedded again", path, count)
            return None
        touched = record.model_copy(update={"stamps": stamps})
        write_shard_record(self.out, record.stem, touched)
        return touched

    def make(self, shard: Shard, total: int) -> ShardRecord:
        """Embed the images of a shard, write its files, and then its record, which is returned.

        Args:
            shard: The shard.
            total: Number of images of all shards.
        """
        remove_shard_record(self.out, shard.stem)
        # Before any image is read: what changes from now on is noticed the next time.
        stamps = [stamp_of(self.source, entry) for entry in shard.entries]
        tables = list(self._tables(shard, stamps, total))
        contents = [content for table in tables for content in table["content"].to_pylist()]
        record = ShardRecord(
            made_from=self._made_from(shard.entries),
            stamps=digest_of_stamps(stamps),
            contents=digest_of_contents(contents),
            files=write_shard(self.out, shard.stem, tables, self.model.dim),
        )
        write_shard_record(self.out, shard.stem, record)
        self.pieces.remove(shard.start, shard.stop)
        return record

    def _tables(self, shard: Shard, stamps: Sequence[Stamp], total: int) -> Iterator[pa.Table]:
        """Yield the pieces of a shard in order: those that were saved, and new ones."""

        def identify(start: int, stop: int) -> str:
            here = slice(start - shard.start, stop - shard.start)
            # The batches count, as the last bits of a vector may depend on what is beside it.
            batches = [here.start, here.stop, self.batch_rows]
            return self._made_from(shard.entries[here], stamps[here], batches)

        saved = self.pieces.load(shard.start, shard.stop, identify)
        row = shard.start
        while row < shard.stop:
            table = saved.get(row)
            if table is None:
                end = min((start for start in saved if start > row), default=shard.stop)
                table = self._piece(shard, row, end, total)
                stop = row + len(table)
                if stop < shard.stop:  # the last one is in the shard's files at once
                    self.pieces.save(row, stop, identify(row, stop), table)
            row += len(table)
            yield table

    def _piece(self, shard: Shard, row: int, end: int, total: int) -> pa.Table:
        """Embed images from one row on, until it is time to save them; both over all shards."""
        rows: list[dict[str, JSON]] = []
        began = self.saving.clock()
        while row + len(rows) < end and len(rows) < self.saving.rows:
            start = row + len(rows) - shard.start
            batch = shard.entries[start : min(start + self.batch_rows, end - shard.start)]
            rows += self._embed(batch)
            self.model.context.progress(row + len(rows), total)
            if self.saving.clock() - began >= self.saving.seconds:
                break
        return pa.Table.from_pylist(rows, schema=PIECE)

    def _embed(self, entries: Sequence[Listed]) -> list[dict[str, JSON]]:
        """Return the rows of a batch."""
        contents = [content_of(self.source, entry) for entry in entries]
        rows: list[dict[str, JSON]] = []
        pictures: list[Picture] = []
        for (entry, picture), content in zip(self.source.load(entries), contents, strict=True):
            row = {"image_path": entry.path, "content": content}
            if isinstance(picture, str):
                logger.warning("%s: skipped: %s", entry.path, picture)
                rows.append({**row, "reason": picture})
                continue
            height, width = picture.shape[:2]
            url = public_url(self.prefix, entry)
            about = {"caption": entry.caption, "url": url, "width": width, "height": height}
            sha256 = content or self.source.fetched_sha256(entry)
            rows.append({**row, **about, "sha256": sha256})
            pictures.append(picture)
        if pictures:
            found = self.model.embed_images(pictures)
            vectors = iter(check_embeddings(self.model, found, len(pictures), self.model.dim))
            for row in rows:
                if "reason" not in row:
                    row["vector"] = next(vectors).astype(np.float16).tobytes()
        return rows


def facts_of(model: Embedder) -> dict[str, JSON]:
    """Return what an embedder records of itself, as far as it has a place of its own in the record.

    Raises:
        RunError: It is not a dict.
    """
    found = check_facts(model, model.facts())
    facts = redacted_json(to_jsonable_python(found, inf_nan_mode="null", fallback=str))
    weights = facts.get("weights_sha256")
    free = {key: value for key, value in facts.items() if key not in PoolRecord.model_fields}
    return {**free, **({"weights_sha256": weights} if isinstance(weights, str) else {})}
