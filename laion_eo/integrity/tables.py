"""Reads Parquet files that nobody vouches for: what is wrong with one is a fault, not an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laion_eo.integrity.findings import Findings

WORDS = 160
"""Characters of a foreign message that a fault repeats."""


def read_whole(
    findings: Findings, path: Path, schema: pa.Schema | None, *, exact: bool = True
) -> pa.Table | None:
    """Read every value of a Parquet file; note a fault and return ``None`` where that fails.

    Args:
        findings: Where faults go, and rows are counted.
        path: The file.
        schema: The columns that it must have, whose metadata is of no matter; ``None`` for any.
        exact: Whether it may have no other columns.

    Returns:
        The table, without metadata; every text in it is valid UTF-8.
    """
    try:
        # Not read_table, which takes folders called `key=value` on the way for columns.
        with pq.ParquetFile(path) as file:
            table = file.read().replace_schema_metadata()
        table.validate(full=True)
    except FileNotFoundError:
        findings.fault(path, "it is gone")
        return None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        findings.fault(path, f"it is damaged: {shortened(error)}")
        return None
    findings.rows += table.num_rows
    if schema is not None and (differs := _differs(table.schema, schema, exact)):
        findings.fault(path, shortened(differs))
        return None
    return table


def _differs(found: pa.Schema, wanted: pa.Schema, exact: bool) -> str | None:
    """Return in which column two schemas differ first; ``None`` if in none."""
    for place, field in enumerate(wanted):
        if place >= len(found.names) or found.names[place] != field.name:
            there = found.names[place] if place < len(found.names) else "no more"
            return f"its column {place + 1} should be {field.name!r}, and is {there!r}"
        if found.types[place] != field.type:
            return f"its column {field.name!r} is {found.types[place]} instead of {field.type}"
    if exact and len(found.names) > len(wanted.names):
        return f"it has a column {found.names[len(wanted.names)]!r} too much"
    return None


def shortened(error: object) -> str:
    """Return a foreign message as one short line."""
    text = " ".join(str(error).split())
    return text if len(text) <= WORDS else f"{text[:WORDS]}…"


def twice(column: pa.ChunkedArray) -> list[object]:
    """Return the values that a column has more than once, in the order of their first places."""
    counts = column.drop_null().value_counts()
    if not len(counts):
        return []
    values: list[object] = counts.filter(pc.greater(counts.field("counts"), 1)).field(0).to_pylist()
    return values


def rows_said(places: Sequence[int], first: int = 0) -> str:
    """Return which rows are meant: ``row 7``, or ``3 rows, the first is row 7``.

    Args:
        places: Row indices, at least one.
        first: What is added to each.
    """
    row = f"row {places[0] + first:,}"
    return row if len(places) == 1 else f"{len(places):,} rows, the first is {row}"
