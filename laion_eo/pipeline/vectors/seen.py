"""What scorers are shown: the anchors and the images, as the model that judges them has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.kinds import AnchorSet, Embedder, FitData, PoolModel, ScoreBatch, Scorer
from laion_eo.kinds.contract import check_table
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.vectors.queries import read_queries
from laion_eo.pipeline.vectors.stored import StoredVectors
from laion_eo.pipeline.workbench import Workbench, key_of
from laion_eo.schema import ANCHORS, DOWNLOADED
from laion_eo.types import Embeddings, Picture

ANCHORS_TOGETHER = 1024
"""Anchors that are compared with all others at a time: the bound on memory."""


class Seen:
    """The vectors of one run, and the batches that scorers get of them.

    Args:
        workbench: The run's components.
        run_dir: Its run directory, where the stages up to ``embeddings`` are complete.
    """

    def __init__(self, workbench: Workbench, run_dir: RunDir) -> None:
        self.workbench = workbench
        self.run_dir = run_dir

    @cached_property
    def stored(self) -> StoredVectors:
        """The vectors of the images."""
        return StoredVectors.of_run(self.run_dir, self.workbench.config.embeddings.dtype)

    @cached_property
    def _queries(self) -> tuple[pa.Table, Embeddings]:
        rows, vectors = read_queries(self.run_dir.read("anchors"))
        return rows.drop_columns(["embedding"]), vectors

    @cached_property
    def _places(self) -> dict[tuple[int, int], int]:
        rows = self._queries[0]
        keys = zip(rows["source"].to_pylist(), rows["view"].to_pylist(), strict=True)
        return {key: place for place, key in enumerate(keys)}

    @cached_property
    def _embedded(self) -> dict[str, Embeddings]:
        return {}

    def anchors(self, embedder: Embedder) -> AnchorSet:
        """Return all anchors, as a model sees them."""
        rows, vectors = self._queries
        if embedder is self.workbench.one(Embedder):
            return AnchorSet(rows, vectors)
        key = key_of(embedder)
        if key not in self._embedded:
            self._embedded[key] = self.stored.read(key, rows["sha256"].to_pylist())
        return AnchorSet(rows, self._embedded[key])

    def vectors(self, embedder: Embedder, rows: pa.Table) -> Embeddings:
        """Return the embeddings of rows with an image: float32, (n, dim)."""
        return self.stored.read(key_of(embedder), rows["sha256"].to_pylist())

    def candidates(
        self, scorer: Scorer, rows: pa.Table, anchors: AnchorSet, pictures: Sequence[Picture] | None
    ) -> ScoreBatch:
        """Return candidates that have an image, for a scorer."""
        embedder = self.workbench.embedder_of(scorer)
        keys = zip(rows["source"].to_pylist(), rows["view"].to_pylist(), strict=True)
        found = np.array([self._places[key] for key in keys], dtype=np.int64)
        seen = self.vectors(embedder, rows)
        model = self.workbench.ready(embedder)
        return ScoreBatch(rows, seen, anchors.embeddings[found], model, anchors, pictures)

    def score_anchors(self, scorer: Scorer, anchors: AnchorSet) -> pa.Table:
        """Return the anchors' scores by one scorer: null throughout if it does not score them.

        Args:
            scorer: Set up, and fitted where it is to be.
            anchors: As its model sees them.
        """
        total = anchors.table.num_rows
        if not scorer.scores_anchors or scorer.needs_images:
            empty = [pa.nulls(total, field.type) for field in scorer.columns]
            return pa.table(empty, schema=scorer.columns)
        embedder = self.workbench.ready(self.workbench.embedder_of(scorer))
        found = [scorer.columns.empty_table()]
        for start in range(0, total, ANCHORS_TOGETHER):
            part = slice(start, min(start + ANCHORS_TOGETHER, total))
            twins, seen = anchors.twins(part), anchors.embeddings[part]
            rows = as_candidates(anchors.table.slice(start, part.stop - start))
            nearest = _nearest(seen, anchors.embeddings, twins)
            batch = ScoreBatch(rows, seen, nearest, embedder, anchors, None, twins)
            table = check_table(scorer, scorer.score(batch), scorer.columns, len(seen))
            found.append(table)
        return pa.concat_tables(found)

    def fit_data(self, rows: pa.Table, anchors: AnchorSet, embedder: Embedder) -> FitData:
        """Return what a scorer or a filter is fitted on.

        Args:
            rows: Candidates with an image.
            anchors: All anchors, with their scores.
            embedder: The model that is judged with.
        """
        facts = self.workbench.ready(embedder).facts()
        sha256 = facts.get("weights_sha256")
        model = PoolModel(
            embedder.model_id,
            anchors.embeddings.shape[1],
            sha256 if isinstance(sha256, str) else None,
        )
        return FitData(rows, anchors, lambda some: self.vectors(embedder, some), model)


def _nearest(
    seen: Embeddings, others: Embeddings, twins: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> Embeddings:
    """Return of each row the nearest of the others but its twins; NaN where there is none."""
    cosines = np.where(twins, -np.inf, seen @ others.T)
    nearest: Embeddings = others[cosines.argmax(axis=1)].copy()
    nearest[twins.all(axis=1)] = np.nan
    return nearest


def as_candidates(anchors: pa.Table) -> pa.Table:
    """Return anchors with the columns that candidates have: null but for those of their own."""
    scores = [name for name in anchors.column_names if name not in ANCHORS.names]
    table = anchors.select(["source", "view", *scores])
    for field in DOWNLOADED:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def with_images(table: pa.Table) -> pa.Table:
    """Return the rows whose image is there and could be decoded."""
    there = pc.and_(table["filename"].is_valid(), table["image_error"].is_null())
    return table.filter(there)
