"""Scorer ``embedding``: what the other scores come from, as a column for readers of the tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.kinds import ScoreBatch, Scorer


class StoredEmbedding(Scorer):
    """The image's embedding as a column; the run itself keeps embeddings elsewhere, and once."""

    name = "embedding"
    summary = "the image's embedding (float16) as a column of the scores"
    columns = pa.schema([("embedding", pa.list_(pa.float16()))])

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``embedding``: float16, (dim,) each."""
        rows = list(batch.image_embeddings.astype(np.float16))
        return pa.table([pa.array(rows, self.columns.field(0).type)], schema=self.columns)
