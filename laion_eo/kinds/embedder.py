"""Kind ``embedder``: the joint model of images and texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from laion_eo.component import Component
from laion_eo.types import Embeddings, Picture


class Embedder(Component):
    """Puts images and texts into one space, where cosine is likeness (section 2 of the paper)."""

    @property
    @abstractmethod
    def model_id(self) -> str:
        """Name of the model and its weights; known before ``setup``."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the embeddings; known after ``setup``."""

    def known_dim(self) -> int | None:
        """Return the length of the embeddings if it is known without loading the model.

        A run whose pool has vectors of another length is then refused before any work. Where
        ``dim`` is a class attribute, it is known.
        """
        dim = getattr(type(self), "dim", None)
        return dim if isinstance(dim, int) else None

    @abstractmethod
    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n uint8 RGB pictures of any size: float32, (n, dim), rows of length 1."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n texts: float32, (n, dim), rows of length 1."""
