"""Embedder ``tiny``: small models from PyPI packages, joined by projections of our own."""

from __future__ import annotations

from collections.abc import Sequence

from laion_eo.builtin.embedders.tiny.backbones import PACKAGES
from laion_eo.builtin.embedders.tiny.model import DIM, MODEL_ID, TinyModel
from laion_eo.component import require_packages
from laion_eo.errors import ConfigError
from laion_eo.kinds import Embedder
from laion_eo.types import JSON, Embeddings, Picture


class Tiny(Embedder):
    """For trying things out without the Hub; see the model card beside this file."""

    name = "tiny"
    summary = "small joint model that needs no Hub, for trying things out"

    @property
    def model_id(self) -> str:
        """Name and version of the model."""
        return MODEL_ID

    @property
    def dim(self) -> int:
        """Dimension of the embeddings."""
        return self._model.dim

    def known_dim(self) -> int:
        """Return the length of the embeddings."""
        return DIM

    def check(self) -> None:
        """Raise ConfigError if a package of the extra ``demo`` is missing."""
        require_packages(self.name, PACKAGES, "laion-eo[demo]")

    def setup(self) -> None:
        """Load the backbones and the projections.

        Raises:
            ConfigError: A package of the extra ``demo`` is missing.
        """
        try:
            self._model = TinyModel.load()
        except ModuleNotFoundError as error:
            raise ConfigError(f"tiny: {error}") from None

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n uint8 RGB pictures: float32, (n, dim)."""
        return self._model.encode_images(images)

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n texts, best in English: float32, (n, dim)."""
        return self._model.encode_texts(texts)

    def facts(self) -> dict[str, JSON]:
        """Return the model's name and the hash of its weights."""
        return {"model_id": MODEL_ID, "weights_sha256": self._model.weights_sha256}
