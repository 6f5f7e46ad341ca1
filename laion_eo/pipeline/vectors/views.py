"""The pictures and texts that stand for a batch of anchors, as a model gets them (section 2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laion_eo.kinds import Augmenter, Embedder, Normalizer
from laion_eo.kinds.contract import check_embeddings, check_pictures
from laion_eo.pipeline.workbench import Workbench
from laion_eo.types import Anchor, Embeddings, Picture, SkippedAnchor


@dataclass(frozen=True)
class View:
    """One of the pictures of an anchor, or its text.

    Attributes:
        anchor: Of what.
        source: The number of the sample.
        view: The number of the view.
        picture: uint8 RGB, (height, width, 3); ``None`` for a text.
    """

    anchor: Anchor
    source: int
    view: int
    picture: Picture | None

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of what is embedded: the size and the pixels, or the text."""
        if self.picture is None:
            return hashlib.sha256(b"text:" + str(self.anchor.text).encode()).hexdigest()
        size = ",".join(map(str, self.picture.shape))
        pixels = np.ascontiguousarray(self.picture).tobytes()
        return hashlib.sha256(f"picture {size}:".encode() + pixels).hexdigest()


def views_of(
    workbench: Workbench, batch: Sequence[Anchor | SkippedAnchor], first: int
) -> list[View]:
    """Return the views of a batch of samples, in order; a skipped one has none.

    Args:
        workbench: The run's components.
        batch: The samples.
        first: The number of the first.
    """
    normalizer = workbench.ready(workbench.one(Normalizer))
    augmenter = workbench.ready(workbench.one(Augmenter))
    images = [one for one in batch if isinstance(one, Anchor) and one.text is None]
    pictures = normalizer.normalize(images)
    normalized = iter(check_pictures(normalizer, pictures, len(images)))
    views: list[View] = []
    for source, sample in enumerate(batch, first):
        if isinstance(sample, SkippedAnchor):
            continue
        if sample.text is not None:
            views.append(View(sample, source, 0, None))
            continue
        made = check_pictures(augmenter, augmenter.augment(next(normalized)))
        views += [View(sample, source, number, picture) for number, picture in enumerate(made)]
    return views


def embed_views(embedder: Embedder, views: Sequence[View]) -> list[Embeddings]:
    """Return the vector of each view: float32, (dim,).

    Args:
        embedder: The model, set up.
        views: Pictures and texts.
    """
    pictures = [view.picture for view in views if view.picture is not None]
    texts = [str(view.anchor.text) for view in views if view.picture is None]
    seen, said = iter(()), iter(())
    if pictures:
        found = embedder.embed_images(pictures)
        seen = iter(check_embeddings(embedder, found, len(pictures), embedder.dim))
    if texts:
        found = embedder.embed_texts(texts)
        said = iter(check_embeddings(embedder, found, len(texts), embedder.dim))
    return [next(said if view.picture is None else seen) for view in views]
