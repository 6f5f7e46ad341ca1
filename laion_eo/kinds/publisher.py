"""Kind ``publisher``: where the dataset goes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from laion_eo.component import Component


@dataclass(frozen=True)
class Release:
    """A dataset that is ready to be published.

    Attributes:
        config: Name of the datasets configuration, such as ``ver-1``.
        folder: README.md (the card) and ``<config>/train-*.parquet`` with the columns of
            :data:`laion_eo.schema.PUBLISHED`.
        figures: Pictures of the report to go with it, if there are any.
    """

    config: str
    folder: Path
    figures: tuple[Path, ...] = ()


class Publisher(Component):
    """Puts a finished dataset where its users find it."""

    @abstractmethod
    def publish(self, release: Release) -> str:
        """Publish the complete dataset, or nothing of it.

        Returns:
            The revision: a name under which exactly these bytes can be found again.
        """
