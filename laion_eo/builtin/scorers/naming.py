"""What the options of scorers have in common: the names of columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from laion_eo.schema import PUBLISHED, TAKEN


def _no_score_of_the_dataset(column: str) -> str:
    if column in set(PUBLISHED.names) - TAKEN:
        raise ValueError(f"column {column!r} is another score of the dataset")
    return column


ColumnName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_no_score_of_the_dataset)
]
"""Name of a scorer's own column: letters, digits and underscores."""
