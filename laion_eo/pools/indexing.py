"""Embeds the images of a pool into the layout of clip-retrieval, so that runs can search it."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic_core import to_jsonable_python

from laion_eo.blame import naming_culprits
from laion_eo.builtin.retrievers.pool_record import FAISS, INDEX, IndexArguments, PoolRecord
from laion_eo.component import Component, Context
from laion_eo.errors import ConfigError, RunError
from laion_eo.file_record import FileRecord, fault_of
from laion_eo.kinds import Downloader, Embedder
from laion_eo.pools.causes import likely_cause
from laion_eo.pools.making import Saving, ShardMaker, facts_of
from laion_eo.pools.pool_folder import PoolFolder
from laion_eo.pools.shards import (
    Shard,
    ShardRecord,
    find_shard_records,
    move_shard,
    record_path,
    remove_shard_record,
    skipped_reasons,
    split,
)
from laion_eo.pools.sources import Listed, PoolSource, open_source
from laion_eo.redaction import redacted_json, without_login
from laion_eo.registry import Registry
from laion_eo.types import JSON

logger = logging.getLogger("laion_eo")
C = TypeVar("C", bound=Component)

SHARD_ROWS = 4096
"""Images of a shard."""
BATCH_ROWS = 32
"""Images that are decoded and embedded together."""
SAVE_ROWS, SAVE_SECONDS = 256, 60.0
"""A killed indexing repeats at most so many images, or what it did in so many seconds."""


@dataclass(frozen=True, slots=True)
class IndexResult:
    """The outcome of an indexing.

    Attributes:
        folder: The pool: ``img_emb/``, ``metadata/``, ``skipped/``, ``index.json``.
        rows: Number of images embedded.
        skipped: Number of images that could not be read; ``skipped/`` gives the reasons.
        model_id: The model that embedded them.
    """

    folder: Path
    rows: int
    skipped: int
    model_id: str


def index(
    pool: str | Path,
    out: str | Path,
    embedder: Mapping[str, JSON] | None = None,
    url_prefix: str | None = None,
    registry: Registry | None = None,
    *,
    downloader: Mapping[str, JSON] | None = None,
) -> IndexResult:
    """Embed the images of a pool: ``laion-eo index`` in Python.

    The pool is a folder of images, a folder of webdataset tars, or a Parquet file of URLs (or a
    folder of such files), which are fetched. In a folder of images captions come from a table
    (``metadata.csv``, ``metadata.parquet`` or ``pairs.csv``; columns ``file`` or ``file_name``, and
    ``caption`` or ``text``), or from a text file beside each image.

    A stopped indexing resumes: it is saved every 256 images, or every minute. One that is repeated
    makes again what is damaged in ``out``, and the shards (of 4,096 images) of which an image, a
    caption or a URL has changed.

    Args:
        pool: The folder, or the Parquet file.
        out: Folder for the vectors and their metadata.
        embedder: As a run file's ``[embedder]`` table; open-clip by default.
        url_prefix: Prefix that turns the images' paths into URLs; a ``file:`` URL by default.
        registry: Where components are found; the installed plugins by default.
        downloader: As a run file's ``[downloader]`` table; http by default.

    Raises:
        ConfigError: The embedder or the downloader is misconfigured, or lacks a package, weights or
            a contact; or ``url_prefix`` has a login in it.
        DataError: The pool has no images, its table is unusable, or ``out`` holds other files.
        RunError: Not one image could be embedded, or another indexing works in ``out``.
    """
    if url_prefix and without_login(url_prefix) != url_prefix:
        raise ConfigError(
            "--url-prefix: a login does not belong into the URLs of a pool: a dataset publishes "
            "them."
        )
    registry = registry or Registry.discover()
    after_batch = registry.manager.hook.laion_eo_after_batch
    context = Context(
        progress=lambda done, total: after_batch(stage="index", done=done, total=total),
        purpose="indexes image-text pairs",
    )
    use = dict(embedder or {"use": "open-clip"})
    with naming_culprits(registry), ExitStack() as stack:
        model = registry.build(Embedder, use, "index", context)
        fetch = registry.build(Downloader, downloader or {"use": "http"}, "index", context)
        model.check()
        source = open_source(Path(pool), lambda: _ready(fetch, stack))
        listed = source.entries()  # before the model is loaded: an empty pool needs none
        prefix = url_prefix or f"{Path(pool).resolve().as_uri()}/"
        asked = _asked(Path(pool), use, url_prefix)
        return Indexer(source, Path(out), _ready(model, stack), prefix, asked=asked).run(listed)


def _asked(pool: Path, embedder: Mapping[str, JSON], url_prefix: str | None) -> IndexArguments:
    """Return what the record says of how the pool is made."""
    place = os.path.abspath(pool)  # noqa: PTH100 - not resolve(): a link keeps its name
    asked = {"pool": place, "embedder": embedder, "url_prefix": url_prefix}
    plain = redacted_json(to_jsonable_python(asked, fallback=str))
    text = json.dumps(plain, ensure_ascii=False)
    # A record is UTF-8, which the bytes of a path need not be.
    return IndexArguments.model_validate_json(text.encode("utf-8", "replace"))


def _ready(component: C, stack: ExitStack) -> C:
    """Set a component up, to be closed with the stack."""
    component.setup()
    stack.callback(component.close)
    return component


@dataclass(frozen=True)
class Indexer:
    """One indexing, which takes over what an earlier one left and is still right.

    Attributes:
        source: Lists and loads the images.
        out: Folder for the vectors and their metadata.
        model: An embedder that is set up.
        prefix: Prefix that turns the images' paths into URLs.
        shard_rows: Images of a shard.
        batch_rows: Images that are decoded and embedded together.
        save_rows: Images after which a shard in progress is saved.
        save_seconds: Seconds after which it is saved, if that is sooner.
        clock: Gives the seconds.
        asked: What ``index.json`` says of how the pool is made.
    """

    source: PoolSource
    out: Path
    model: Embedder
    prefix: str
    shard_rows: int = SHARD_ROWS
    batch_rows: int = BATCH_ROWS
    save_rows: int = SAVE_ROWS
    save_seconds: float = SAVE_SECONDS
    clock: Callable[[], float] = time.monotonic
    asked: IndexArguments | None = None

    def run(self, listed: Sequence[Listed]) -> IndexResult:
        """Embed all images that are listed, but for the shards that are finished and unchanged.

        Args:
            listed: What the source lists.

        Raises:
            DataError: ``out`` holds files that are not of an indexing.
            RunError: Not one image could be embedded, or another process works in ``out``.
        """
        shards = split(listed, self.shard_rows)
        with self._folder.lock():
            found = self._found()
            kept = self._maker.kept(shards, found)
            faiss = self._faiss_index(shards, kept)
            if not self._is_complete(shards, kept, faiss):
                self._begin(shards, kept, faiss)
                self._make(shards, kept, len(listed))
                self._finish(shards, kept, faiss)
            self.model.context.progress(len(listed), len(listed))
            counts = _counts(kept.values())
            return IndexResult(self.out, *counts, self.model.model_id)

    @cached_property
    def _folder(self) -> PoolFolder:
        return PoolFolder(self.out)

    @cached_property
    def _maker(self) -> ShardMaker:
        saving = Saving(self.save_rows, self.save_seconds, self.clock)
        return ShardMaker(self.source, self.out, self.model, self.prefix, self.batch_rows, saving)

    def _found(self) -> dict[str, ShardRecord]:
        """Return the records of the shards that are there, by stem."""
        if self._folder.is_old():
            logger.info("%s: made by an older laion-eo; all images are embedded again", self.out)
            return {}
        if (self.out / INDEX).exists() and self._folder.read() is None:
            logger.warning("%s: damaged; it is written again", self.out / INDEX)
        return find_shard_records(self.out)

    def _faiss_index(
        self, shards: Sequence[Shard], kept: Mapping[int, ShardRecord]
    ) -> list[FileRecord]:
        """Return the record of the FAISS index, if it is of these shards and intact."""
        before = self._folder.read()
        index = before.file(FAISS) if before else None
        if index is None or len(kept) < len(shards) or index.rows != _counts(kept.values())[0]:
            return []
        if fault := fault_of(self.out, index):
            logger.warning("%s: %s; removed: --faiss builds it again", self.out / FAISS, fault)
        return [] if fault else [index]

    def _is_complete(
        self, shards: Sequence[Shard], kept: Mapping[int, ShardRecord], faiss: list[FileRecord]
    ) -> bool:
        """Tell whether nothing has to be done."""
        if len(kept) < len(shards):
            return False
        record = self._record(complete=True, files=[*_files(shards, kept), *faiss])
        return self._folder.holds(record, _names(shards, kept, faiss))

    def _begin(
        self, shards: Sequence[Shard], kept: dict[int, ShardRecord], faiss: list[FileRecord]
    ) -> None:
        """Say that the pool is incomplete, and remove what does not belong to it."""
        self._folder.write(self._record(complete=False, files=faiss))
        for shard in shards:
            if (record := kept.get(shard.number)) and record.stem != shard.stem:
                kept[shard.number] = move_shard(self.out, record, shard.stem)
        self._folder.keep_only(_names(shards, kept, faiss))
        if kept and len(kept) < len(shards):
            logger.info("index: resumes, %d of %d shards done", len(kept), len(shards))

    def _make(self, shards: Sequence[Shard], done: dict[int, ShardRecord], total: int) -> None:
        """Make the shards that are not done."""
        for shard in shards:
            if shard.number not in done:
                done[shard.number] = self._maker.make(shard, total)
            self.model.context.progress(shard.stop, total)

    def _finish(
        self, shards: Sequence[Shard], done: Mapping[int, ShardRecord], faiss: list[FileRecord]
    ) -> None:
        """Say that the pool is complete.

        Raises:
            RunError: There is no image in it.
        """
        self._maker.pieces.clear()
        if _counts(done.values())[0]:
            self._folder.write(self._record(complete=True, files=[*_files(shards, done), *faiss]))
            return
        cause = likely_cause(skipped_reasons(self.out, done.values()))
        for shard in shards:  # so that the next indexing tries them all
            remove_shard_record(self.out, shard.stem)
        raise RunError(f"{self.out}: none of the images could be embedded: {cause}.")

    def _record(self, *, complete: bool, files: Sequence[FileRecord]) -> PoolRecord:
        def rows(folder: str) -> int:
            return sum(file.rows or 0 for file in files if file.path.startswith(f"{folder}/"))

        return PoolRecord(
            **facts_of(self.model),
            model_id=str(self.model.model_id),
            dim=int(self.model.dim),
            rows=rows("img_emb"),
            skipped=rows("skipped"),
            repaired_texts=self.source.repaired,
            complete=complete,
            index=self.asked,
            files=tuple(files),
        )


def _files(shards: Sequence[Shard], done: Mapping[int, ShardRecord]) -> list[FileRecord]:
    return [file for shard in shards for file in done[shard.number].files]


def _names(
    shards: Sequence[Shard], done: Mapping[int, ShardRecord], faiss: Sequence[FileRecord]
) -> list[str]:
    """Return the paths below the pool of all that belongs to it now."""
    there = [shard for shard in shards if shard.number in done]
    records = [record_path(shard.stem) for shard in there]
    return [*records, *(file.path for file in [*_files(there, done), *faiss])]


def _counts(done: Iterable[ShardRecord]) -> tuple[int, int]:
    """Return the number of images embedded, and of those skipped."""
    records = list(done)
    return sum(record.rows for record in records), sum(record.skipped for record in records)
