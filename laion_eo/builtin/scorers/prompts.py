"""The one vector that several prompts stand for, and what they are told apart from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from laion_eo.errors import ConfigError
from laion_eo.kinds import Embedder
from laion_eo.kinds.contract import check_embeddings

SHORTEST = 1e-4
"""Length below which a sum of embeddings of length 1 is rounding alone, and points nowhere."""


def prompt_vector(
    embedder: Embedder, prompts: Sequence[str], negatives: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Embed prompts, and return the vector whose cosine to an image is the image's score.

    Several prompts are CLIP's zero-shot ensemble: the mean of their embeddings, normalised. With
    negatives, whose ensemble is made likewise, it is the normalised difference of the two: images
    then rank as by the difference of their cosines to both.

    Args:
        embedder: The run's model, set up.
        prompts: At least one.
        negatives: What the images are not to show; maybe none.

    Returns:
        float32, (dim,), of length 1.

    Raises:
        ConfigError: The embeddings cancel each other out: to the model, the negatives say the same
            as the prompts, or prompts of one list the opposite of each other.
    """
    wanted = _ensemble(embedder, prompts, "prompts")
    if not negatives:
        return wanted
    difference = wanted.astype(np.float64) - _ensemble(embedder, negatives, "negatives")
    return _unit(difference, embedder, "the negatives say the same as the prompts")


def _ensemble(embedder: Embedder, texts: Sequence[str], which: str) -> NDArray[np.float32]:
    found = embedder.embed_texts(list(texts))
    embeddings = check_embeddings(embedder, found, len(texts), embedder.dim)
    if len(texts) == 1:
        only: NDArray[np.float32] = embeddings[0]
        return only  # as the model gave it, to the last bit
    mean = embeddings.astype(np.float64).mean(axis=0)
    return _unit(mean, embedder, f"the {which} cancel each other out")


def _unit(vector: NDArray[np.float64], embedder: Embedder, otherwise: str) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    if length < SHORTEST:
        raise ConfigError(
            f"text-similarity: to {embedder.model_id!r}, {otherwise}: change some of them."
        )
    return (vector / length).astype(np.float32)
