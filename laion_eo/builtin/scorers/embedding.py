"""Scorer ``embedding``: keeps the vector that the other scores come from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.kinds import ScoreBatch, Scorer


class StoredEmbedding(Scorer):
    """The image's embedding, kept so that filters can compare images with each other."""

    name = "embedding"
    summary = "stores the image's embedding (float16), for the filter `duplicates`"
    columns = pa.schema([("embedding", pa.list_(pa.float16()))])

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``embedding``: float16, (dim,) each."""
        rows = list(batch.image_embeddings.astype(np.float16))
        return pa.table([pa.array(rows, self.columns.field(0).type)], schema=self.columns)
