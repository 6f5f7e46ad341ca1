"""The suite of filters."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa

from laion_eo.kinds import AnchorSet, Filter, FitData
from laion_eo.kinds.contract import check_needs, check_verdict
from laion_eo.schema import SCORED
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.testing.suites.rows import sample_rows
from laion_eo.types import JSON, Embeddings, Verdict

ROWS = 60
ANCHOR_ROWS = 20


class FilterTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Filter` over 60 rows that every run could have.

    Attributes:
        columns: The columns of scorers that the filter needs, each with the values that the rows
            take in turn; ``None`` is null. They should have some rows kept and some dropped.
    """

    columns: ClassVar[dict[str, list[JSON]]] = {}

    def table(self) -> pa.Table:
        """Return the rows: every column of a run, those of the paper's scorers, and ``columns``."""
        draw = np.random.default_rng(0)
        sizes = [(64 * (1 + place % 8), 300) for place in range(ROWS)]
        table = sample_rows([f"caption {place % 50}" for place in range(ROWS)], sizes)
        # Copies: of a URL, and of an image under another URL.
        twins = {name: _repeat(table[name]) for name in ("url", "sha256", "filename")}
        added: dict[str, pa.Array] = {
            "image_error": pa.nulls(ROWS, pa.string()),
            "image_similarity": pa.array(draw.normal(0.8, 0.05, ROWS), pa.float32()),
            "text_similarity": pa.array(draw.normal(0.2, 0.02, ROWS), pa.float32()),
            "lang": pa.array((["en", "de", None] * ROWS)[:ROWS]),
            "lang_score": pa.array(([0.9, 0.4, 0.0] * ROWS)[:ROWS], pa.float32()),
        }
        for name, values in self.columns.items():
            added[name] = pa.array((values * ROWS)[:ROWS])
        for name, column in (twins | added).items():
            place = table.schema.get_field_index(name)
            table = (
                table.set_column(place, name, column)
                if place >= 0
                else table.append_column(name, column)
            )
        return table

    def data(self, table: pa.Table) -> FitData:
        """Return what the filter is fitted on: rows and 20 anchors, with vectors of their own.

        The anchors have the scores of the table's first rows.
        """
        rows = self.table().slice(0, ANCHOR_ROWS)
        own = [name for name in rows.column_names if name not in SCORED.names]
        anchors = rows.select(["source", "view", *own])
        anchors = anchors.append_column("text", pa.nulls(ANCHOR_ROWS, pa.string()))
        return FitData(table, AnchorSet(anchors, _vectors(rows)), _vectors)

    def judge(self, component: Filter, table: pa.Table, step: int = ROWS) -> Verdict:
        """Fit the filter on a table and judge all its rows, ``step`` at a time."""
        component.fit(self.data(table))
        parts = [component.keep(table.slice(at, step)) for at in range(0, len(table), step)]
        masks = [np.zeros(0, bool), *(part.mask for part in parts)]
        return Verdict(np.concatenate(masks), [why for part in parts for why in part.reasons])

    def facts_of(self, component: Filter) -> dict[str, JSON]:  # type: ignore[override]
        """Return the facts after a fit."""
        component.fit(self.data(self.table()))
        return component.facts()

    def test_what_it_needs_is_there(self, component: Filter) -> None:
        """``needs`` names columns of a run, or of ``columns``: those of the scorers beside it."""
        for name in check_needs(component, component.needs()):
            assert name in self.table().column_names

    def test_it_reads_what_it_needs_alone(self, component: Filter) -> None:
        """Without the columns of scorers that ``needs`` does not name, it judges every row too."""
        needed = {*SCORED.names, *component.needs()}
        table = self.table().select([n for n in self.table().column_names if n in needed])
        check_verdict(component, self.judge(component, table), ROWS)

    def test_every_row_has_its_verdict(self, component: Filter) -> None:
        """A bool per row, and a reason for each that is dropped."""
        check_verdict(component, self.judge(component, self.table()), ROWS)

    def test_it_keeps_some_and_drops_some(self, component: Filter) -> None:
        """Of the suite's rows it drops some, not all: else ``columns`` or ``options`` need more."""
        mask = self.judge(component, self.table()).mask
        assert 0 < mask.sum() < ROWS

    def test_batches_do_not_matter(self, component: Filter) -> None:
        """Judged seven rows at a time, the same rows stay: only ``fit`` sees all of them."""
        together, pieces = (self.judge(component, self.table(), step) for step in (ROWS, 7))
        assert together.mask.tolist() == pieces.mask.tolist()

    def test_another_fit_forgets_the_first(self, component: Filter) -> None:
        """Fitted on other rows before, it judges these the same."""
        first = self.judge(component, self.table())
        self.judge(component, self.table().slice(ROWS // 2))
        assert self.judge(component, self.table()).mask.tolist() == first.mask.tolist()

    def test_no_rows(self, component: Filter) -> None:
        """A run that found nothing is no error."""
        nothing = self.table().slice(0, 0)
        component.fit(self.data(nothing))
        check_verdict(component, component.keep(nothing), 0)


def _vectors(rows: pa.Table) -> Embeddings:
    """Return a vector for each row: float32, (n, 16), of length 1."""
    draws = [np.random.default_rng(row).normal(size=16) for row in rows["id"].to_pylist()]
    found = np.array(draws, np.float32).reshape(len(draws), 16)
    unit: Embeddings = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def _repeat(column: pa.ChunkedArray) -> pa.Array:
    """Return the column with its last ten values replaced by its first ten."""
    values = column.to_pylist()
    return pa.array([*values[:-10], *values[:10]], column.type)
