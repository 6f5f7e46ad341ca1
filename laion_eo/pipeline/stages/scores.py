"""Stage ``scores``: compare the images themselves, exactly (section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from laion_eo.component import Component
from laion_eo.errors import RunError
from laion_eo.images import ImageError, decode_image
from laion_eo.kinds import Embedder, ScoreBatch, Scorer
from laion_eo.kinds.contract import check_embeddings, check_table
from laion_eo.pipeline.stages.assemble import with_downloads
from laion_eo.pipeline.stages.base import Rows, ShardedStage, row_ranges
from laion_eo.pipeline.stages.neighbors import read_queries
from laion_eo.pipeline.stages.stored_images import is_named_by_content
from laion_eo.schema import SCORES_FIXED
from laion_eo.types import Embeddings, Picture

DECODE_TOGETHER = 32
"""Images decoded at a time: the bound on memory."""


class Scores(ShardedStage):
    """One row per candidate; null where there is no image, with the reason in ``image_error``."""

    name = "scores"
    needs = ("anchors", "candidates", "downloads")

    def components(self) -> Sequence[Component]:
        """Return the embedder and the scorers."""
        return [self.workbench.one(Embedder), *self.workbench.all(Scorer)]

    @cached_property
    def _table(self) -> pa.Table:
        return with_downloads(self.run_dir)

    @cached_property
    def _anchors(self) -> tuple[dict[tuple[int, int], int], Embeddings]:
        rows, vectors = read_queries(self.run_dir.read("anchors"))
        keys = zip(rows["source"].to_pylist(), rows["view"].to_pylist(), strict=True)
        return {key: place for place, key in enumerate(keys)}, vectors

    def shards(self) -> Sequence[Rows]:
        """Return ranges of candidates."""
        return row_ranges(self._table.num_rows, self.workbench.config.engine.batch_rows)

    def process(self, shard: Rows) -> pa.Table:
        """Score a range of candidates."""
        start, stop = shard
        places = row_ranges(stop - start, DECODE_TOGETHER)
        return pa.concat_tables(
            [self._score(self._table.slice(start + a, b - a)) for a, b in places]
        )

    def _score(self, rows: pa.Table) -> pa.Table:
        images, errors = self._decode(rows)
        there = np.array([error is None for error in errors], dtype=bool)
        fixed = pa.table([rows["id"], pa.array(errors, pa.string())], schema=SCORES_FIXED)
        batch = self._batch(rows.filter(pa.array(there)), images)
        # Where a scored row sits among the scored ones; null leaves the others null.
        places = pa.array(np.cumsum(there) - 1, mask=~there)
        for scorer in self.workbench.all(Scorer):
            columns = self._columns(scorer, batch)
            for field in scorer.columns:
                fixed = fixed.append_column(field, columns[field.name].take(places))
        return fixed

    def _batch(self, rows: pa.Table, images: list[Picture]) -> ScoreBatch:
        places, vectors = self._anchors
        keys = zip(rows["source"].to_pylist(), rows["view"].to_pylist(), strict=True)
        found = np.array([places[key] for key in keys], dtype=np.int64)
        embedder = self.workbench.ready(self.workbench.one(Embedder))
        batch = ScoreBatch(rows, images, vectors[found], embedder)
        if images:
            check_embeddings(embedder, batch.image_embeddings, len(images), embedder.dim)
        return batch

    def _columns(self, scorer: Scorer, batch: ScoreBatch) -> pa.Table:
        if not batch.images:
            return scorer.columns.empty_table()
        scores = self.workbench.ready(scorer).score(batch)
        return check_table(scorer, scores, scorer.columns, len(batch.images))

    def _decode(self, rows: pa.Table) -> tuple[list[Picture], list[str | None]]:
        images: list[Picture] = []
        errors: list[str | None] = []
        for filename, status in zip(
            rows["filename"].to_pylist(), rows["status"].to_pylist(), strict=True
        ):
            if filename is None:
                errors.append(f"not downloaded ({status})")
                continue
            try:
                images.append(decode_image(self._read(filename)))
                errors.append(None)
            except ImageError as error:
                errors.append(str(error))
        return images, errors

    def _read(self, filename: str) -> bytes:
        path = self.run_dir.images / filename
        content = path.read_bytes()
        if not is_named_by_content(path, content):
            raise RunError(
                f"{path}: damaged since it was downloaded; delete it and run the same command "
                "again, which fetches it anew."
            )
        return content

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the images that were scored, and those that could not be decoded."""
        errors = table["image_error"].to_pylist()
        damaged = sum(e is not None and not e.startswith("not downloaded") for e in errors)
        return {"scored": errors.count(None), "damaged": damaged}
