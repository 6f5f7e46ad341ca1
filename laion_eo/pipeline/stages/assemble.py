"""Puts the tables of a run side by side, one row per candidate."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.pipeline.run_dir import RunDir
from laion_eo.schema import STATUS_REASON


def with_downloads(run_dir: RunDir) -> pa.Table:
    """Return the candidates beside their downloads: the columns of ``schema.DOWNLOADED``."""
    candidates = run_dir.read("candidates")
    downloads = run_dir.read("downloads")
    names = [STATUS_REASON if name == "reason" else name for name in downloads.column_names]
    downloads = downloads.rename_columns(names)
    urls = pc.fill_null(candidates["url"], "").combine_chunks()
    rows = downloads.take(pc.index_in(urls, downloads["url"].combine_chunks()))
    return beside(candidates, rows.drop_columns(["url"]))


def with_scores(run_dir: RunDir) -> pa.Table:
    """Return every candidate with its download, its scores and its caption's language."""
    table = with_downloads(run_dir)
    for stage in ("scores", "fitted_scores", "languages"):
        table = with_columns(table, run_dir.read(stage))
    return table


def with_columns(table: pa.Table, other: pa.Table) -> pa.Table:
    """Return a table with the columns of another, whose rows have the same ``id``; else null."""
    rows = other.take(pc.index_in(table["id"].combine_chunks(), other["id"].combine_chunks()))
    return beside(table, rows.drop_columns(["id"]))


def beside(left: pa.Table, right: pa.Table) -> pa.Table:
    """Return a table with the columns of another, whose rows are the same."""
    for name in right.column_names:
        left = left.append_column(right.schema.field(name), right[name])
    return left
