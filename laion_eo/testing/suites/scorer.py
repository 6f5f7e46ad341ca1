"""The suite of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.component import ComponentConfig, Context
from laion_eo.kinds import AnchorSet, Embedder, FitData, FittedScorer, ScoreBatch, Scorer
from laion_eo.kinds.contract import check_columns, check_needs, check_table
from laion_eo.schema import ANCHORS, DOWNLOADED, TAKEN
from laion_eo.testing.colours import Colours
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.testing.suites.rows import sample_rows
from laion_eo.testing.web import GREEN, RED, picture
from laion_eo.types import JSON, Embeddings

CAPTIONS: tuple[str | None, ...] = (
    "a green field",
    None,
    "",
    "ein Feld, von oben gesehen 🛰",
    "Write to jane.doe@example.org or +1 202 555 0147",
    "word " * 500,
)

_ROWS = pa.schema([ANCHORS.field("source"), ANCHORS.field("view")])


def _with_columns(table: pa.Table, columns: dict[str, list[JSON]]) -> pa.Table:
    """Return the table with columns whose values the rows take in turn."""
    rows = table.num_rows
    for name, values in columns.items():
        table = table.append_column(name, pa.array((values * rows)[:rows]))
    return table


class ScorerTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Scorer`; the embedder beside it is ``colours``.

    Attributes:
        columns: For a fitted scorer, the columns of other scorers that it needs, each with the
            values that the rows take in turn.
    """

    columns: ClassVar[dict[str, list[JSON]]] = {}

    def embedder(self) -> Embedder:
        """Return the run's embedder; override it for a scorer that needs another."""
        return Colours(ComponentConfig(), Context())

    def batch(self, captions: Sequence[str | None] = CAPTIONS) -> ScoreBatch:
        """Return candidates with green and red pictures of several sizes, and these captions."""
        colours = [GREEN if place % 2 else RED for place in range(len(captions))]
        pictures = [
            np.asarray(picture(place, colour, 40 + 20 * place))
            for place, colour in enumerate(colours)
        ]
        embedder = self.embedder()
        anchor = embedder.embed_images([np.asarray(picture(99, GREEN))])
        table = sample_rows(captions, [image.shape[:2] for image in pictures])
        table = _with_columns(table, self.columns)
        seen = embedder.embed_images(pictures)
        found_by = anchor.repeat(len(captions), axis=0)
        shown = pictures if self.component_cls.needs_images else None
        return ScoreBatch(table, seen, found_by, embedder, self.anchors(), shown)

    def anchors(self) -> AnchorSet:
        """Return the anchors of the run: three green pictures and a red one, with ``columns``."""
        colours = [GREEN, GREEN, GREEN, RED]
        pictures = [np.asarray(picture(99 + i, colour)) for i, colour in enumerate(colours)]
        rows = pa.table({"source": range(4), "view": [0] * 4}, schema=_ROWS)
        for field in ANCHORS:
            if field.name not in (*_ROWS.names, "embedding"):
                rows = rows.append_column(field, pa.nulls(4, field.type))
        rows = _with_columns(rows, self.columns)
        return AnchorSet(rows, self.embedder().embed_images(pictures))

    def score(self, component: Scorer, batch: ScoreBatch) -> pa.Table:
        """Return the scores; of a fitted scorer, after a fit on the suite's whole batch."""
        if isinstance(component, FittedScorer):
            whole = self.batch()
            by_id = dict(zip(whole.table["id"].to_pylist(), whole.image_embeddings, strict=True))

            def vectors(rows: pa.Table) -> Embeddings:
                return np.stack([by_id[row] for row in rows["id"].to_pylist()])

            component.fit(FitData(whole.table, self.anchors(), vectors))
        return component.score(batch)

    def test_columns_are_new(self, component: Scorer) -> None:
        """The columns are the scorer's own: none is one that every run has."""
        assert check_columns(component, component.columns).names
        assert not TAKEN & set(component.columns.names)

    def test_what_it_needs_is_there(self, component: Scorer) -> None:
        """``needs`` names columns of the candidates and their downloads."""
        for name in check_needs(component, component.needs()):
            assert name in self.batch().table.column_names

    def test_columns_are_as_declared(self, component: Scorer) -> None:
        """N rows with exactly the declared columns and types; captions may be empty or null."""
        check_table(
            component, self.score(component, self.batch()), component.columns, len(CAPTIONS)
        )

    def test_one_row(self, component: Scorer) -> None:
        """A batch of one is no special case."""
        check_table(
            component, self.score(component, self.batch(CAPTIONS[:1])), component.columns, 1
        )

    def test_scores_never_change(self, component: Scorer) -> None:
        """The same batch gives the same scores."""
        assert self.score(component, self.batch()).equals(self.score(component, self.batch()))

    def test_rows_do_not_depend_on_each_other(self, component: Scorer) -> None:
        """A row's score is the same in a batch of one: the batch size is no part of the result."""
        together = self.score(component, self.batch()).to_pylist()
        batch = self.batch()
        for place, row in enumerate(together):
            single = ScoreBatch(
                batch.table.slice(place, 1),
                batch.image_embeddings[place : place + 1],
                batch.anchor_embeddings[place : place + 1],
                batch.embedder,
                batch.anchors,
                batch.pictures and batch.pictures[place : place + 1],
            )
            (alone,) = self.score(component, single).to_pylist()
            for name, value in row.items():
                if isinstance(value, float):
                    assert alone[name] == pytest.approx(value, abs=1e-3, nan_ok=True)
                else:
                    assert alone[name] == value

    def test_anchors_are_scored_like_candidates(self, component: Scorer) -> None:
        """A scorer that says so scores anchors, whose rows have little else than their vectors."""
        if not component.scores_anchors:
            return
        anchors = self.anchors()
        rows = anchors.table.select(["source", "view", *self.columns])
        for field in DOWNLOADED:
            if field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
        twins = anchors.twins()
        vectors = anchors.embeddings
        batch = ScoreBatch(rows, vectors, vectors, self.embedder(), anchors, None, twins)
        check_table(component, self.score(component, batch), component.columns, rows.num_rows)

    def test_images_are_left_alone(self, component: Scorer) -> None:
        """The images are not written to: the scorers after this one see them too."""
        batch = self.batch()
        before = [image.copy() for image in batch.pictures or ()]
        self.score(component, batch)
        for image, copy in zip(batch.pictures or (), before, strict=True):
            np.testing.assert_array_equal(image, copy)

    def test_numbers_are_finite(self, component: Scorer) -> None:
        """What cannot be computed is null, not NaN or infinite."""
        scores = self.score(component, self.batch())
        for field in scores.schema:
            if pa.types.is_floating(field.type):
                values = scores[field.name].drop_null().to_numpy()
                assert np.isfinite(values.astype(np.float64)).all()
