"""What the files of others call their columns: one table, and the functions that read it.

Every reader of third-party files asks here which column holds a field, so that a pool, a list of
URLs, recorded neighbours and an allow-list agree about the same file.

Upper and lower case make no difference: LAION writes ``URL`` and ``TEXT``, clip-retrieval ``url``
and ``caption``. Of two columns that differ in nothing else, the one spelt as in the table wins, and
otherwise the first in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from laion_eo.errors import DataError

FieldName = Literal["url", "caption", "file", "similarity", "md5", "sha256", "vector"]

ALIASES: dict[FieldName, tuple[str, ...]] = {
    "url": ("url",),
    # clip-retrieval and img2dataset write `caption`, LAION `TEXT`, DataComp `text`.
    "caption": ("caption", "text"),
    # `file_name` is what Hugging Face's image folders have, `image_path` what clip-retrieval has.
    "file": ("file", "file_name", "image_path"),
    # Of a neighbour to its anchor. What LAION calls so is the similarity of an image to its text,
    # but its tables hold no neighbours.
    "similarity": ("fast_similarity", "similarity"),
    "md5": ("md5",),
    "sha256": ("sha256",),
    # DataComp's archives hold the vectors of two models; the paper's, ViT-L-14, comes first.
    # ClickHouse's Parquet files say `image_embedding`, the SISAP challenge's HDF5 files `emb`.
    "vector": (
        "l14_img", "b32_img", "image_embedding", "img_emb", "embedding", "embeddings", "emb",
    ),
}  # fmt: skip
"""The names of each field, the preferred one first, in lower case."""


def columns_of(field: FieldName, names: Iterable[str]) -> list[str]:
    """Return those of the names that mean a field, the preferred one first.

    Args:
        field: What is wanted.
        names: The columns of a file, in its order.

    Examples:
        >>> columns_of("caption", ["URL", "TEXT", "text", "caption"])
        ['caption', 'text', 'TEXT']
    """
    return [*_columns_of(field, tuple(names))]


@lru_cache(maxsize=256)  # recorded answers ask for the same few columns millions of times
def _columns_of(field: FieldName, names: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for alias in ALIASES[field]:
        alike = [name for name in names if name.lower() == alias]
        found += [name for name in alike if name == alias]
        found += [name for name in alike if name != alias]
    return tuple(found)


def find_column(field: FieldName, names: Iterable[str]) -> str | None:
    """Return the column that holds a field; ``None`` where there is none."""
    return next(iter(columns_of(field, names)), None)


def require_column(field: FieldName, names: Iterable[str], source: object) -> str:
    """Return the column that holds a field.

    Args:
        field: What is wanted.
        names: The columns of a file, in its order.
        source: The file, for the message.

    Raises:
        DataError: There is none.
    """
    known = list(names)
    found = find_column(field, known)
    if found is None:
        wanted = " or ".join(map(repr, ALIASES[field]))
        raise DataError(f"{source}: no column {wanted}; it has {', '.join(known) or 'none'}.")
    return found
