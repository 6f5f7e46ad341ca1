"""Two models for tests, quick and without any weights: ``colours`` and ``letters``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Embedder, LanguageTagger
from laion_eo.types import Embeddings, LanguageTags, Picture

NAMED = {
    "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255),
    "black": (0, 0, 0), "yellow": (255, 255, 0), "brown": (120, 80, 40), "grey": (128, 128, 128),
}  # fmt: skip
GRID = 4


class Colours(Embedder):
    """A picture is its colours on a coarse grid; a text is the colours that it names."""

    name = "colours"
    summary = "colours on a coarse grid, for tests"
    model_id = "colours-1"
    dim = GRID * GRID * 3 + 1

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n uint8 RGB pictures: float32, (n, 49)."""
        small = [
            np.asarray(Image.fromarray(image).resize((GRID, GRID), Image.Resampling.BOX))
            for image in images
        ]
        return _unit(np.array(small, np.float32).reshape(len(images), GRID * GRID * 3))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n texts: float32, (n, 49); one without a colour gets a vector of its own."""
        return _unit(np.array([_colours_of(text) for text in texts], np.float32).reshape(-1, 48))


class Letters(LanguageTagger):
    """Whatever has a letter is English."""

    name = "letters"
    summary = "calls every text with a letter English, for tests"

    def tag(self, texts: Sequence[str]) -> LanguageTags:
        """Tag n texts."""
        there = [any(character.isalpha() for character in text) for text in texts]
        return LanguageTags(["en" if t else None for t in there], np.array(there, np.float32))


def _colours_of(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    named = [NAMED[word] for word in text.lower().split() if word in NAMED]
    if named:
        return np.tile(np.mean(named, axis=0, dtype=np.float32), GRID * GRID)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return np.random.default_rng(seed).uniform(0, 255, GRID * GRID * 3).astype(np.float32)


def _unit(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Embeddings:
    centred = values / 255 - 0.5
    # The last entry keeps the length of a medium grey away from zero.
    padded = np.concatenate([centred, np.full((len(centred), 1), 0.1, np.float32)], axis=1)
    unit: Embeddings = padded / np.linalg.norm(padded, axis=1, keepdims=True)
    return unit


@hookimpl
def laion_eo_embedders() -> list[type[Embedder]]:
    """Register the embedder: pass this module to ``Registry.discover``."""
    return [Colours]


@hookimpl
def laion_eo_language_taggers() -> list[type[LanguageTagger]]:
    """Register the language tagger, likewise."""
    return [Letters]
