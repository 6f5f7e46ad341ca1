"""The vectors that the pool is searched with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.errors import DataError
from laion_eo.kinds import AnchorSet
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.schema import ANCHOR_SCORES_FIXED
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


def scored_anchors(run_dir: RunDir) -> AnchorSet:
    """Return the anchors as the run's own model sees them, with their scores.

    Args:
        run_dir: Where the stage ``anchor_scores`` is complete.

    Raises:
        RunError: It is not, or is damaged.
    """
    rows, vectors = read_queries(run_dir.read("anchors"))
    table, scores = rows.drop_columns(["embedding"]), run_dir.read("anchor_scores")
    for field in scores.schema:
        if field.name not in ANCHOR_SCORES_FIXED.names:
            table = table.append_column(field, scores[field.name])
    return AnchorSet(table, vectors)
