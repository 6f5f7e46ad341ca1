"""Stage ``anchors``: read, normalise, augment and embed the anchor dataset (section 2.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeAlias

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.errors import DataError
from laion_eo.kinds import AnchorSource, Augmenter, Embedder, Normalizer
from laion_eo.kinds.blaming import each
from laion_eo.kinds.contract import check_anchor, check_count, check_embeddings, check_pictures
from laion_eo.pipeline.stages.base import StreamStage
from laion_eo.redaction import redacted
from laion_eo.schema import ANCHORS
from laion_eo.types import Anchor, Embeddings, Picture, SkippedAnchor

BATCH = 64
Row: TypeAlias = dict[str, str | int | float | datetime | None]


class Anchors(StreamStage):
    """Embeds every anchor; one that cannot be read keeps its row, with the reason.

    The source is read in its own order, in one process.
    """

    name = "anchors"

    def components(self) -> Sequence[Component]:
        """Return source, normalizer, augmenter and embedder."""
        kinds = (AnchorSource, Normalizer, Augmenter, Embedder)
        return [self.workbench.one(kind) for kind in kinds]

    def total(self) -> int:
        """Return the number of batches, if the source can count its samples."""
        source = self.workbench.one(AnchorSource)
        count = source.count()
        return -(-check_count(source, 0 if count is None else count, "samples") // BATCH)

    def parts(self, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the table of each batch of samples."""
        source = self.workbench.ready(self.workbench.one(AnchorSource))
        samples = (check_anchor(source, sample) for sample in each(source, source.anchors()))
        index = 0
        while batch := list(islice(samples, BATCH)):
            if index not in done:
                yield index, self._embed(batch, index * BATCH)
            index += 1
        if index == 0:
            raise DataError(
                f"the anchor source {source.name!r} has no samples: nothing to search for"
            )

    def _embed(self, batch: Sequence[Anchor | SkippedAnchor], first: int) -> pa.Table:
        embedder = self.workbench.ready(self.workbench.one(Embedder))
        views = self._views(batch)
        rows: list[Row] = []
        pictures: dict[int, Picture] = {}
        texts: dict[int, str] = {}
        for source, sample in enumerate(batch, first):
            if isinstance(sample, SkippedAnchor):
                rows.append(
                    {"source": source, "anchor_id": sample.id, "skipped": redacted(sample.reason)}
                )
            elif sample.text is not None:
                texts[len(rows)] = sample.text
                rows.append(_row(sample, source, 0))
            else:
                for view, picture in enumerate(views[source - first]):
                    pictures[len(rows)] = picture
                    rows.append(_row(sample, source, view))
        vectors: dict[int, Embeddings] = {}
        if pictures:
            found = embedder.embed_images(list(pictures.values()))
            check_embeddings(embedder, found, len(pictures), embedder.dim)
            vectors |= zip(pictures, found, strict=True)
        if texts:
            found = embedder.embed_texts(list(texts.values()))
            check_embeddings(embedder, found, len(texts), embedder.dim)
            vectors |= zip(texts, found, strict=True)
        return _table(rows, vectors)

    def _views(self, batch: Sequence[Anchor | SkippedAnchor]) -> dict[int, list[Picture]]:
        """Return the pictures of each image anchor, by its place in the batch."""
        normalizer = self.workbench.ready(self.workbench.one(Normalizer))
        augmenter = self.workbench.ready(self.workbench.one(Augmenter))
        images = {
            place: sample
            for place, sample in enumerate(batch)
            if isinstance(sample, Anchor) and sample.text is None
        }
        pictures = normalizer.normalize(list(images.values()))
        check_pictures(normalizer, pictures, len(images))
        return {
            place: check_pictures(augmenter, augmenter.augment(picture))
            for place, picture in zip(images, pictures, strict=True)
        }

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the anchors, those skipped, and the query vectors."""
        skipped = table.num_rows - table["skipped"].null_count
        anchors = len(table["source"].unique())
        queries = table.num_rows - skipped
        return {"anchors": anchors, "skipped": skipped, "queries": queries}


def _row(anchor: Anchor, source: int, view: int) -> Row:
    place = {"gsd": anchor.gsd, "lon": anchor.lon, "lat": anchor.lat, "acquired": anchor.acquired}
    return {"source": source, "anchor_id": anchor.id, "view": view, **place}


def _table(rows: list[Row], vectors: dict[int, Embeddings]) -> pa.Table:
    """Lay the vectors into their rows; a skipped anchor's row gets null."""
    embedding = ANCHORS.field("embedding")
    fixed = pa.Table.from_pylist(rows, schema=ANCHORS.remove(len(ANCHORS) - 1))
    column = pa.array([vectors.get(place) for place in range(len(rows))], embedding.type)
    return fixed.append_column(embedding, column)
