"""Stages ``fitted_scores`` and ``anchor_scores``: what is fitted on all candidates first."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.kinds import AnchorSet, FittedScorer, Scorer
from laion_eo.kinds.contract import check_table
from laion_eo.pipeline.stages.assemble import beside, with_columns, with_downloads
from laion_eo.pipeline.stages.base import TableStage, row_ranges
from laion_eo.pipeline.vectors.seen import Seen, with_images
from laion_eo.schema import ANCHOR_SCORES_FIXED, FITTED_FIXED

BATCH = 8192
"""Candidates that are scored at a time."""


class _Fits(TableStage):
    """Fits the fitted scorers, one after the other: a later one may need the columns of an earlier.

    Fits are seeded, so that both stages come to the same.
    """

    def components(self) -> Sequence[Component]:
        """Return the embedders and all scorers."""
        return [*self.workbench.embedders(), *self.workbench.all(Scorer)]

    def fitted(self) -> tuple[pa.Table, pa.Table]:
        """Return the candidates that have an image, and the anchors, with all their scores."""
        seen = Seen(self.workbench, self.run_dir)
        table = with_columns(with_downloads(self.run_dir), self.run_dir.read("scores"))
        table = with_images(table)
        scorers = self.workbench.all(Scorer)
        anchors = seen.anchors(self.workbench.embedders()[0]).table
        for scorer in scorers:
            if not isinstance(scorer, FittedScorer):
                anchors = beside(anchors, seen.score_anchors(scorer, self._seen_by(seen, scorer)))
        for scorer in scorers:
            if isinstance(scorer, FittedScorer):
                mine = AnchorSet(anchors, self._seen_by(seen, scorer).embeddings)
                embedder = self.workbench.embedder_of(scorer)
                self.workbench.ready(scorer).fit(seen.fit_data(table, mine, embedder))
                scores = self._score(seen, scorer, table, mine)
                anchors = beside(anchors, seen.score_anchors(scorer, mine))
                table = beside(table, scores)
        return table, anchors

    def _seen_by(self, seen: Seen, scorer: Scorer) -> AnchorSet:
        self.workbench.ready(scorer)
        return seen.anchors(self.workbench.embedder_of(scorer))

    def _score(
        self, seen: Seen, scorer: FittedScorer, table: pa.Table, anchors: AnchorSet
    ) -> pa.Table:
        found = [scorer.columns.empty_table()]
        for start, stop in row_ranges(table.num_rows, BATCH) if table.num_rows else ():
            batch = seen.candidates(scorer, table.slice(start, stop - start), anchors, None)
            scores = scorer.score(batch)
            found.append(check_table(scorer, scores, scorer.columns, stop - start))
        return pa.concat_tables(found)

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the rows that are scored."""
        return {"scored": table.num_rows}


class FittedScores(_Fits):
    """One row per candidate with an image: the columns of the scorers that are fitted."""

    name = "fitted_scores"
    needs = ("anchors", "candidates", "downloads", "embeddings", "scores")

    def make(self) -> pa.Table:
        """Return the scores."""
        if not any(isinstance(scorer, FittedScorer) for scorer in self.workbench.all(Scorer)):
            return FITTED_FIXED.empty_table()
        table, _ = self.fitted()
        names = [
            name
            for scorer in self.workbench.all(Scorer)
            if isinstance(scorer, FittedScorer)
            for name in scorer.columns.names
        ]
        return table.select([*FITTED_FIXED.names, *names])


class AnchorScores(_Fits):
    """One row per anchor: its scores against the others alone, for filters to be fitted to."""

    name = "anchor_scores"
    needs = ("anchors", "candidates", "downloads", "embeddings", "scores", "fitted_scores")

    def make(self) -> pa.Table:
        """Return the scores."""
        _, anchors = self.fitted()
        names = [name for scorer in self.workbench.all(Scorer) for name in scorer.columns.names]
        return anchors.select([*ANCHOR_SCORES_FIXED.names, *names])
