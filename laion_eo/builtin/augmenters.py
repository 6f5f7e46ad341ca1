"""Augmenters: the paper's choice is none."""

from __future__ import annotations

from laion_eo.kinds import Augmenter
from laion_eo.types import Picture


class NoAugmenter(Augmenter):
    """Each anchor is searched for as it is (section 2.2: 100 neighbours for each anchor image)."""

    name = "none"
    summary = "each anchor as it is, as in the paper"

    def augment(self, image: Picture) -> list[Picture]:
        """Return the image alone."""
        return [image]
