"""The suite of scorers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.component import ComponentConfig, Context
from laion_eo.kinds import Embedder, ScoreBatch, Scorer
from laion_eo.kinds.contract import check_columns, check_needs, check_table
from laion_eo.schema import TAKEN
from laion_eo.testing.colours import Colours
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.testing.suites.rows import sample_rows
from laion_eo.testing.web import GREEN, RED, picture

CAPTIONS: tuple[str | None, ...] = (
    "a green field",
    None,
    "",
    "ein Feld, von oben gesehen 🛰",
    "Write to jane.doe@example.org or +1 202 555 0147",
    "word " * 500,
)


class ScorerTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Scorer`; the embedder beside it is ``colours``."""

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
        return ScoreBatch(table, pictures, anchor.repeat(len(captions), axis=0), embedder)

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
        check_table(component, component.score(self.batch()), component.columns, len(CAPTIONS))

    def test_one_row(self, component: Scorer) -> None:
        """A batch of one is no special case."""
        check_table(component, component.score(self.batch(CAPTIONS[:1])), component.columns, 1)

    def test_scores_never_change(self, component: Scorer) -> None:
        """The same batch gives the same scores."""
        assert component.score(self.batch()).equals(component.score(self.batch()))

    def test_rows_do_not_depend_on_each_other(self, component: Scorer) -> None:
        """A row's score is the same in a batch of one: the batch size is no part of the result."""
        together = component.score(self.batch()).to_pylist()
        batch = self.batch()
        for place, row in enumerate(together):
            single = ScoreBatch(
                batch.table.slice(place, 1),
                batch.images[place : place + 1],
                batch.anchor_embeddings[place : place + 1],
                batch.embedder,
            )
            (alone,) = component.score(single).to_pylist()
            for name, value in row.items():
                if isinstance(value, float):
                    assert alone[name] == pytest.approx(value, abs=1e-3, nan_ok=True)
                else:
                    assert alone[name] == value

    def test_images_are_left_alone(self, component: Scorer) -> None:
        """The images are not written to: the scorers after this one see them too."""
        batch = self.batch()
        before = [image.copy() for image in batch.images]
        component.score(batch)
        for image, copy in zip(batch.images, before, strict=True):
            np.testing.assert_array_equal(image, copy)

    def test_numbers_are_finite(self, component: Scorer) -> None:
        """What cannot be computed is null, not NaN or infinite."""
        scores = component.score(self.batch())
        for field in scores.schema:
            if pa.types.is_floating(field.type):
                values = scores[field.name].drop_null().to_numpy()
                assert np.isfinite(values.astype(np.float64)).all()
