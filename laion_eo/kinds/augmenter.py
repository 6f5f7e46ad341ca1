"""Kind ``augmenter``: further views of an anchor."""

from __future__ import annotations

from abc import abstractmethod

from laion_eo.component import Component
from laion_eo.types import Picture


class Augmenter(Component):
    """Makes views of an anchor's picture, each searched for on its own."""

    @abstractmethod
    def augment(self, image: Picture) -> list[Picture]:
        """Return at least one view, always the same ones for the same image.

        Args:
            image: uint8 RGB, (height, width, 3).
        """
