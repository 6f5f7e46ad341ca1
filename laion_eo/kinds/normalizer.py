"""Kind ``normalizer``: from measured values to a picture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from laion_eo.component import Component
from laion_eo.types import Anchor, Picture


class Normalizer(Component):
    """Makes anchors look like the pictures of the web (section 2.1 of the paper)."""

    @abstractmethod
    def normalize(self, anchors: Sequence[Anchor]) -> list[Picture]:
        """Turn each anchor into uint8 RGB, (height, width, 3).

        Args:
            anchors: Image anchors of one band (shown as grey) or three (red, green, blue).
        """
