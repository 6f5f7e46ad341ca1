"""The vectors that the pool is searched with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.errors import DataError
from laion_eo.types import Embeddings


def read_queries(anchors: pa.Table) -> tuple[pa.Table, Embeddings]:
    """Return the rows of the anchors table that have a vector, and the vectors, (n, dim).

    Raises:
        DataError: No anchor has one.
    """
    rows = anchors.filter(anchors["embedding"].is_valid())
    if not len(rows):
        reason = anchors["skipped"][0].as_py()
        raise DataError(f"not one of the {len(anchors)} anchors could be read; the first: {reason}")
    column = rows["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    return rows, vectors.astype(np.float32, copy=False)
