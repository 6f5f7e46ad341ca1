"""Scorers ``image-similarity`` and ``text-similarity`` (section 2.3 of the paper)."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from laion_eo.builtin.scorers.prompts import prompt_vector
from laion_eo.component import ComponentConfig, Context
from laion_eo.kinds import Embedder, ScoreBatch, Scorer, ScorerConfig
from laion_eo.schema import PUBLISHED, TAKEN
from laion_eo.types import JSON


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("a prompt is empty")
    return text


Prompt = Annotated[str, AfterValidator(_some_text)]
"""A text that says something."""


class ImageSimilarity(Scorer):
    """Cosine of an image to the anchor that found it, from the image itself: no index between."""

    name = "image-similarity"
    summary = "exact similarity to the anchor that found the image"
    columns = pa.schema([("image_similarity", pa.float32())])
    scores_anchors = True

    class Config(ScorerConfig):
        """Options."""

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``image_similarity``, -1..1."""
        cosine = np.einsum("nd,nd->n", batch.image_embeddings, batch.anchor_embeddings)
        # An anchor without another to compare it with has NaN for its nearest.
        return pa.table([pa.array(cosine, pa.float32(), from_pandas=True)], schema=self.columns)


class TextSimilarity(Scorer):
    """Cosine of an image to a text: what it shows, where ``image-similarity`` is how it looks.

    A run can have several, each with a ``column`` of its own; the published ``text_similarity`` is
    that of the scorer whose column has this name.
    """

    name = "text-similarity"
    summary = "similarity of the image to a prompt, or to several"
    columns = pa.schema([("text_similarity", pa.float32())])
    scores_anchors = True

    class Config(ScorerConfig):
        """Options.

        Attributes:
            prompt: The text; the paper's by default.
            prompts: Several texts instead of one: the mean of their embeddings, normalised, as in
                CLIP's zero-shot ensembles.
            negatives: Texts that say what the images are not to show. The score is then the cosine
                to the normalised difference of prompts and negatives: still -1..1, above 0 where
                the image is nearer to the prompts, and no longer of the size of the cosine to a
                prompt, so that thresholds of that mean nothing for it.
            column: What the new column is called: letters, digits and underscores.
        """

        prompt: Prompt | None = "a satellite image"
        prompts: tuple[Prompt, ...] | None = Field(default=None, min_length=1)
        negatives: tuple[Prompt, ...] = ()
        column: str = Field(default="text_similarity", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

        @model_validator(mode="before")
        @classmethod
        def _prompts_take_the_place_of_the_default(cls, data: JSON) -> JSON:
            if isinstance(data, dict) and data.get("prompts") is not None:
                return {"prompt": None, **data}
            return data

        @model_validator(mode="after")
        def _one_meaning(self) -> Self:
            if (self.prompt is None) == (self.prompts is None):
                raise ValueError("either prompt or prompts is wanted, and not both")
            if twice := set(self.texts) & set(self.negatives):
                raise ValueError(f"{min(twice)!r} is a prompt and a negative")
            published = set(PUBLISHED.names) - TAKEN - set(TextSimilarity.columns.names)
            if self.column in published:
                raise ValueError(f"column {self.column!r} is another score of the dataset")
            return self

        @property
        def texts(self) -> tuple[str, ...]:
            """The prompts, however many."""
            return self.prompts or (self.prompt or "",)

    config: Config

    def __init__(self, config: ComponentConfig, context: Context) -> None:
        super().__init__(config, context)
        self.columns = pa.schema([(self.config.column, pa.float32())])
        self._embedded: tuple[Embedder, NDArray[np.float32]] | None = None

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column, -1..1.

        Raises:
            ConfigError: To the model, the negatives say the same as the prompts.
        """
        cosine = batch.image_embeddings @ self._vector(batch.embedder)
        return pa.table([pa.array(cosine, pa.float32())], schema=self.columns)

    def _vector(self, embedder: Embedder) -> NDArray[np.float32]:
        """Return what images are compared with, float32, (dim,), embedded once."""
        if self._embedded is None or self._embedded[0] is not embedder:
            vector = prompt_vector(embedder, self.config.texts, self.config.negatives)
            self._embedded = embedder, vector
        return self._embedded[1]
