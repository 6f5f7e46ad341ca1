"""Kind ``downloader``: fetches the images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from laion_eo.component import Component
from laion_eo.types import Download


class Downloader(Component):
    """Fetches URLs and inspects what came (section 2.2 of the paper)."""

    @abstractmethod
    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        """Yield one :class:`~laion_eo.types.Download` for each URL, in any order.

        A URL that fails is a status, never an exception.

        Args:
            urls: Distinct URLs, hostile ones among them.
        """
