"""Stage ``scores``: compare the images themselves, exactly (section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from laion_eo.component import Component
from laion_eo.images import decode_image
from laion_eo.kinds import Embedder, FittedScorer, Scorer
from laion_eo.kinds.contract import check_table
from laion_eo.pipeline.stages.assemble import with_downloads
from laion_eo.pipeline.stages.base import Rows, ShardedStage, row_ranges
from laion_eo.pipeline.stages.embeddings import DECODE_TOGETHER, read_image
from laion_eo.pipeline.vectors.seen import Seen
from laion_eo.pipeline.workbench import key_of
from laion_eo.schema import SCORES_FIXED
from laion_eo.types import Picture


class Scores(ShardedStage):
    """One row per candidate; null where there is no image, with the reason in ``image_error``."""

    name = "scores"
    version = 2
    needs = ("anchors", "candidates", "downloads", "embeddings")

    def components(self) -> Sequence[Component]:
        """Return the embedders and the scorers but for those that are fitted."""
        return [*self.workbench.embedders(), *self._scorers]

    @cached_property
    def _table(self) -> pa.Table:
        return with_downloads(self.run_dir)

    @cached_property
    def _seen(self) -> Seen:
        return Seen(self.workbench, self.run_dir)

    @cached_property
    def _scorers(self) -> list[Scorer]:
        every = self.workbench.all(Scorer)
        return [scorer for scorer in every if not isinstance(scorer, FittedScorer)]

    def shards(self) -> Sequence[Rows]:
        """Return ranges of candidates."""
        return row_ranges(self._table.num_rows, self.workbench.config.engine.batch_rows)

    def process(self, shard: Rows) -> pa.Table:
        """Score a range of candidates."""
        rows = self._table.slice(shard[0], shard[1] - shard[0])
        errors = self._errors(rows)
        there = np.array([error is None for error in errors], dtype=bool)
        fixed = pa.table([rows["id"], pa.array(errors, pa.string())], schema=SCORES_FIXED)
        scores = self._score(rows.filter(pa.array(there)))
        # Where a scored row sits among the scored ones; null leaves the others null.
        places = pa.array(np.cumsum(there) - 1, mask=~there)
        for field in scores.schema:
            fixed = fixed.append_column(field, scores[field.name].take(places))
        return fixed

    def _errors(self, rows: pa.Table) -> list[str | None]:
        """Return why a row has no image to score, for each."""
        model = key_of(self.workbench.one(Embedder))
        columns = [rows[name].to_pylist() for name in ("sha256", "filename", "status")]
        return [
            f"not downloaded ({status})"
            if filename is None
            else self._seen.stored.errors.get((model, sha256))
            for sha256, filename, status in zip(*columns, strict=True)
        ]

    def _score(self, rows: pa.Table) -> pa.Table:
        """Score rows that have an image: the columns of all scorers."""
        found: list[pa.Table] = []
        for start, stop in row_ranges(rows.num_rows, DECODE_TOGETHER):
            part = rows.slice(start, stop - start)
            wanted = any(scorer.needs_images for scorer in self._scorers)
            pictures = self._pictures(part) if wanted else None
            columns: dict[str, pa.ChunkedArray] = {}
            for scorer in self._scorers:
                scores = self._columns(scorer, part, pictures)
                columns |= {name: scores[name] for name in scores.column_names}
            schema = pa.schema([field for scorer in self._scorers for field in scorer.columns])
            found.append(pa.table(columns, schema=schema))
        return pa.concat_tables(found)

    def _columns(self, scorer: Scorer, rows: pa.Table, pictures: list[Picture] | None) -> pa.Table:
        if not rows.num_rows:
            return scorer.columns.empty_table()
        ready = self.workbench.ready(scorer)
        anchors = self._seen.anchors(self.workbench.embedder_of(scorer))
        shown = pictures if scorer.needs_images else None
        batch = self._seen.candidates(scorer, rows, anchors, shown)
        return check_table(scorer, ready.score(batch), scorer.columns, rows.num_rows)

    def _pictures(self, rows: pa.Table) -> list[Picture]:
        names = rows["filename"].to_pylist()
        return [decode_image(read_image(self.run_dir, name)) for name in names]

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the images that were scored, and those that could not be decoded."""
        errors = table["image_error"].to_pylist()
        damaged = sum(e is not None and not e.startswith("not downloaded") for e in errors)
        return {"scored": errors.count(None), "damaged": damaged}
