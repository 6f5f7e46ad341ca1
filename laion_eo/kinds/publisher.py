"""Kind ``publisher``: where the dataset goes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from laion_eo.component import Component
from laion_eo.file_record import FileRecord


@dataclass(frozen=True)
class Release:
    """A dataset that is ready to be published.

    Attributes:
        config: Name of the datasets configuration, such as ``ver-1``.
        folder: README.md (the card) and ``<config>/train-*.parquet`` with the columns of
            :data:`laion_eo.schema.PUBLISHED`.
        files: The files that may be published, by paths relative to ``folder``, as they were when
            they were written. Whatever else lies in the folder is not part of the dataset.
        figures: Pictures of the report to go with it, if there are any.
    """

    config: str
    folder: Path
    files: tuple[FileRecord, ...]
    figures: tuple[Path, ...] = ()

    def paths(self) -> dict[str, Path]:
        """Return the files that may be published, by their path relative to ``folder``."""
        return {record.path: self.folder / record.path for record in self.files}


class Publisher(Component):
    """Puts a finished dataset where its users find it."""

    @abstractmethod
    def publish(self, release: Release) -> str:
        """Publish the complete dataset, or nothing of it.

        Args:
            release: Of its folder, only the files of ``release.files`` may be published.

        Returns:
            The revision: a name under which exactly these bytes can be found again.
        """
