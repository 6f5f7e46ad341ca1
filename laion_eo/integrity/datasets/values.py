"""What the values of the published columns must be like, whatever run made them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.integrity.tables import rows_said

ABOVE_ONE = 1e-3
"""How far a cosine may lie outside -1..1: the vectors that it comes from are of length 1 ± 1e-3."""
FILENAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]+")
"""Name of a stored image: the SHA-256 of its content, and an extension."""

Mask: TypeAlias = pa.ChunkedArray
NEVER_NULL = ("source", "url", "filename", "id", "fast_similarity", "height", "width")
SIMILARITIES = ("fast_similarity", "image_similarity", "text_similarity")


def value_faults(table: pa.Table) -> Iterator[str]:
    """Yield what is wrong with the values of a table of the published columns.

    A null is wrong only in a column that every run fills.

    Args:
        table: With the columns of :data:`laion_eo.schema.PUBLISHED`; any number of rows.

    Yields:
        A phrase for each column and fault: ``its column 'width' is not positive (row 7)``.
    """
    for name, (is_wrong, what) in _RULES:
        wrong = is_wrong(table[name])
        places = pc.indices_nonzero(pc.fill_null(wrong, fill_value=False)).to_pylist()
        if places:
            yield f"its column {name!r} {what} ({rows_said(places)})"


def _outside(low: float, high: float) -> Callable[[pa.ChunkedArray], Mask]:
    def test(column: pa.ChunkedArray) -> Mask:
        # Not (low <= x <= high), so that NaN is outside.
        inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
        return pc.invert(inside)

    return test


def _unlike(pattern: str) -> Callable[[pa.ChunkedArray], Mask]:
    return lambda column: pc.invert(pc.match_substring_regex(column, pattern))


def _below(least: int) -> Callable[[pa.ChunkedArray], Mask]:
    return lambda column: pc.less(column, least)


Rule = tuple[str, tuple[Callable[[pa.ChunkedArray], Mask], str]]
_RULES: tuple[Rule, ...] = (
    *((name, (pc.is_null, "has no value")) for name in NEVER_NULL),
    *(
        (name, (_outside(-1 - ABOVE_ONE, 1 + ABOVE_ONE), "is no cosine of -1..1"))
        for name in SIMILARITIES
    ),
    *((name, (_below(0), "is negative")) for name in ("source", "id")),
    *((name, (_below(1), "is not positive")) for name in ("height", "width")),
    ("url", (_unlike(r"\S"), "is empty")),
    ("filename", (_unlike(f"^{FILENAME.pattern}$"), "is no SHA-256 with an extension")),
    ("lang", (_unlike(r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$"), "is no code of a language")),
    ("lang_score", (_outside(0.0, 1.0), "is no confidence of 0..1")),
)
