"""What ``quality.py`` adds to the components of laion-eo: the recipes of others, and one model.

The module is a plugin: ``Registry.discover([quality_components])``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.builtin.embedders.tiny.embedder import Tiny
from laion_eo.builtin.embedders.tiny.model import TinyModel
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import (
    Embedder,
    Retriever,
    RetrieverConfig,
    ScoreBatch,
    Scorer,
    ScorerConfig,
)
from laion_eo.types import Embeddings, Neighbors, Picture

KEYWORDS = (
    "satellite", "aerial", "remote sensing", "landsat", "sentinel", "from space", "from above",
    "google earth", "overhead", "bird's-eye", "bird's eye", "orthophoto", "earth observation",
)  # fmt: skip
"""Words for pictures of the Earth from above, in captions in English."""


@cache
def _model() -> TinyModel:
    return TinyModel.load()


@cache
def _said(text: str) -> Embeddings:
    vector: Embeddings = _model().encode_texts([text])[0]
    return vector


class TinyOnce(Tiny):
    """The embedder ``tiny``, loaded once a process, which counts the images that it embeds."""

    name = "tiny-once"
    summary = "tiny, loaded once a process"
    embedded = 0

    def setup(self) -> None:
        """Load the model, unless that was done."""
        self._model = _model()

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n pictures, and count them."""
        TinyOnce.embedded += len(images)
        return super().embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n texts, each once a process."""
        return np.stack([_said(text) for text in texts])


class CaptionSimilarity(Scorer):
    """Cosine of an image to its own caption: LAION's filter; null where there is no caption."""

    name = "caption-similarity"
    summary = "cosine of an image to its caption"
    columns = pa.schema([("caption_similarity", pa.float32())])

    class Config(ScorerConfig):
        """Options."""

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``caption_similarity``, -1..1."""
        captions = [caption or "" for caption in batch.table["caption"].to_pylist()]
        said = np.stack([batch.embedder.embed_texts([caption])[0] for caption in captions])
        cosines = np.einsum("nd,nd->n", batch.image_embeddings, said)
        mask = np.array([not caption.strip() for caption in captions])
        return pa.table([pa.array(cosines, pa.float32(), mask=mask)], schema=self.columns)


class CaptionKeywords(Retriever):
    """Every row whose caption has one of some words; the anchors do not matter."""

    name = "caption-keywords"
    summary = "rows whose caption has a keyword"

    class Config(RetrieverConfig):
        """Options: ``k`` bounds the rows, as each is a neighbour of the first anchor."""

        pool: Path
        keywords: tuple[str, ...] = KEYWORDS

    config: Config

    @property
    def _rows(self) -> pa.Table:
        return pq.read_table(self.config.pool / "metadata", columns=["url", "caption"])

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        """Return the rows with a keyword, as neighbours of the first query, at cosine 0."""
        captions = pc.fill_null(self._rows["caption"], "")
        has = np.zeros(len(captions), dtype=bool)
        for keyword in self.config.keywords:
            has |= pc.match_substring(captions, keyword, ignore_case=True).to_numpy()
        found = np.flatnonzero(has)[:k]
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores[0, : len(found)], ids[0, : len(found)] = 0.0, found
        return Neighbors(scores, ids)

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        """Return the metadata of rows."""
        return self._rows.take(pa.array(ids))


@hookimpl
def laion_eo_embedders() -> Sequence[type[Embedder]]:
    """Register the embedder."""
    return [TinyOnce]


@hookimpl
def laion_eo_retrievers() -> Sequence[type[Retriever]]:
    """Register the retriever."""
    return [CaptionKeywords]


@hookimpl
def laion_eo_scorers() -> Sequence[type[Scorer]]:
    """Register the scorer."""
    return [CaptionSimilarity]
