"""Scorers ``image-similarity`` and ``text-similarity`` (section 2.3 of the paper)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.component import ComponentConfig
from laion_eo.kinds import ScoreBatch, Scorer
from laion_eo.kinds.contract import check_embeddings


class ImageSimilarity(Scorer):
    """Cosine of an image to the anchor that found it, from the image itself: no index between."""

    name = "image-similarity"
    summary = "exact similarity to the anchor that found the image"
    columns = pa.schema([("image_similarity", pa.float32())])

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``image_similarity``, -1..1."""
        cosine = np.einsum("nd,nd->n", batch.image_embeddings, batch.anchor_embeddings)
        return pa.table([pa.array(cosine, pa.float32())], schema=self.columns)


class TextSimilarity(Scorer):
    """Cosine of an image to a text: what it shows, where ``image-similarity`` is how it looks."""

    name = "text-similarity"
    summary = "similarity of the image to a prompt"
    columns = pa.schema([("text_similarity", pa.float32())])

    class Config(ComponentConfig):
        """Options.

        Attributes:
            prompt: The text; the paper's by default.
        """

        prompt: str = "a satellite image"

    config: Config

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``text_similarity``, -1..1."""
        embedder = batch.embedder
        (prompt,) = check_embeddings(
            embedder, embedder.embed_texts([self.config.prompt]), 1, embedder.dim
        )
        cosine = batch.image_embeddings @ prompt
        return pa.table([pa.array(cosine, pa.float32())], schema=self.columns)
