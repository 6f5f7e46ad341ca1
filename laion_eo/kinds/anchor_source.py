"""Kind ``anchor-source``: where the anchors come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from laion_eo.component import Component
from laion_eo.types import Anchor, SkippedAnchor


class AnchorSource(Component):
    """A representative subset of the domain of interest (section 2.1 of the paper)."""

    @abstractmethod
    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield the samples, lazily and always in the same order.

        A sample that cannot be read is yielded as a :class:`~laion_eo.types.SkippedAnchor`, so that
        the others keep their numbers.

        Raises:
            DataError: The source as a whole is missing or has another layout.
        """

    def count(self) -> int | None:
        """Return how many samples there are, if that is cheap to know."""
        return None
