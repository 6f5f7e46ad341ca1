"""An embedder that is interrupted, as a run is by Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence

from laion_eo.component import Context
from laion_eo.testing import colours
from laion_eo.types import Embeddings, Picture


class Interrupted(colours.Colours):
    """Counts the pictures that it embeds, and is interrupted after so many.

    Attributes:
        limit: Pictures after which the next batch is interrupted.
        embedded: Pictures embedded so far.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(self.Config(), Context())
        self.limit, self.embedded = limit, 0

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n pictures, or raise ``KeyboardInterrupt``."""
        if self.embedded >= self.limit:
            raise KeyboardInterrupt
        self.embedded += len(images)
        return super().embed_images(images)
