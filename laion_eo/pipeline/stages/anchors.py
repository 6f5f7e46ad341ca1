"""Stage ``anchors``: read, normalise, augment and embed the anchor dataset (section 2.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import chain, islice
from typing import TypeAlias

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.errors import DataError
from laion_eo.kinds import AnchorSource, Augmenter, Embedder, Normalizer, texts_beside
from laion_eo.kinds.blaming import each
from laion_eo.kinds.contract import check_anchor, check_count
from laion_eo.pipeline.stages.base import StreamStage
from laion_eo.pipeline.vectors.earlier import earlier_parts, made_by, maker_of
from laion_eo.pipeline.vectors.views import View, embed_views, views_of
from laion_eo.pipeline.workbench import Workbench
from laion_eo.redaction import redacted
from laion_eo.schema import ANCHORS
from laion_eo.types import Anchor, Embeddings, SkippedAnchor

BATCH = 64
Row: TypeAlias = dict[str, str | int | float | datetime | None]


class Anchors(StreamStage):
    """Embeds every anchor; one that cannot be read keeps its row, with the reason.

    The source is read in its own order, in one process. What an earlier run has embedded is not
    embedded again.
    """

    name = "anchors"
    version = 2

    def components(self) -> Sequence[Component]:
        """Return source, normalizer, augmenter and embedder."""
        kinds = (AnchorSource, Normalizer, Augmenter, Embedder)
        return [self.workbench.one(kind) for kind in kinds]

    def total(self) -> int:
        """Return the number of batches, if the source can count its samples."""
        source = self.workbench.one(AnchorSource)
        count = source.count()
        if count is None:
            return 0
        return -(-(check_count(source, count, "samples") + len(texts_beside(source))) // BATCH)

    def parts(self, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the table of each batch of samples."""
        index = 0
        samples = read_samples(self.workbench)
        while batch := list(islice(samples, BATCH)):
            if index not in done:
                yield index, self._embed(batch, index * BATCH)
            index += 1
        if index == 0:
            source = self.workbench.one(AnchorSource)
            raise DataError(
                f"the anchor source {source.name!r} has no samples: nothing to search for"
            )

    def _embed(self, batch: Sequence[Anchor | SkippedAnchor], first: int) -> pa.Table:
        views = views_of(self.workbench, batch, first)
        keys = [view.sha256 for view in views]
        known = {key: self._earlier[key] for key in keys if key in self._earlier}
        new = {key: view for key, view in zip(keys, views, strict=True) if key not in known}
        embedder = self.workbench.ready(self.workbench.one(Embedder))
        known |= zip(new, embed_views(embedder, list(new.values())), strict=True)
        skipped: list[tuple[int, Row, Embeddings | None]] = [
            (source, {"source": source, "anchor_id": one.id, "skipped": redacted(one.reason)}, None)
            for source, one in enumerate(batch, first)
            if isinstance(one, SkippedAnchor)
        ]
        seen = [(view.source, _row(view), known[view.sha256]) for view in views]
        # By sample; the views of one stay in their order.
        rows = sorted([*skipped, *seen], key=lambda row: row[0])
        return _table([row for _, row, _ in rows], [vector for _, _, vector in rows], self._maker)

    @cached_property
    def _maker(self) -> str:
        return maker_of(self.workbench.ready(self.workbench.one(Embedder)))

    @cached_property
    def _earlier(self) -> dict[str, Embeddings]:
        """The vectors that an earlier run left, float32 (dim,), by what was embedded."""
        found: dict[str, Embeddings] = {}
        for run_dir, part in earlier_parts(self.run_dir, self.name, self._maker):
            table = run_dir.read_table(part, ["sha256", "embedding"])
            table = table.filter(table["embedding"].is_valid())
            column = table["embedding"].combine_chunks()
            if len(table):
                vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)
                found |= zip(table["sha256"].to_pylist(), vectors, strict=True)
        return found

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the anchors, those skipped, and the query vectors."""
        skipped = table.num_rows - table["skipped"].null_count
        anchors = len(table["source"].unique())
        queries = table.num_rows - skipped
        return {"anchors": anchors, "skipped": skipped, "queries": queries}


def read_samples(workbench: Workbench) -> Iterator[Anchor | SkippedAnchor]:
    """Yield what the run's anchor source has, in its order, and the texts beside it."""
    source = workbench.ready(workbench.one(AnchorSource))
    samples = chain(each(source, source.anchors()), texts_beside(source))
    return (check_anchor(source, sample) for sample in samples)


def _row(view: View) -> Row:
    anchor = view.anchor
    place = {"gsd": anchor.gsd, "lon": anchor.lon, "lat": anchor.lat, "acquired": anchor.acquired}
    known: Row = {"source": view.source, "anchor_id": anchor.id, "view": view.view}
    return {**known, **place, "text": anchor.text, "sha256": view.sha256}


def _table(rows: list[Row], vectors: list[Embeddings | None], maker: str) -> pa.Table:
    """Lay the vectors into their rows; a skipped anchor's row gets null."""
    embedding = ANCHORS.field("embedding")
    fixed = pa.Table.from_pylist(rows, schema=made_by(ANCHORS.remove(len(ANCHORS) - 1), maker))
    return fixed.append_column(embedding, pa.array(vectors, embedding.type))
