"""The base class of CloudSEN12's layouts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from laion_eo.builtin.anchor_sources.cloudsen12.selection import Patch, Row, Selection, make_patch
from laion_eo.errors import DataError


class Layout(ABC):
    """One layout of CloudSEN12 on disk.

    Attributes:
        name: What the option ``layout`` calls it.
        tree: The files that it expects, for messages.
        selection: Which patches and bands are wanted.
    """

    name: ClassVar[str]
    tree: ClassVar[str]

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    @property
    @abstractmethod
    def metadata(self) -> Sequence[Path]:
        """The metadata files that exist, in order."""

    @abstractmethod
    def read(self, patch: Patch) -> NDArray[Any]:
        """Return the wanted bands: (bands, height, width), reflectance times 10,000.

        Raises:
            DataError: The patch is missing or damaged.
        """

    @abstractmethod
    def data_files(self) -> Iterable[Path]:
        """Return the files with the pixels of the wanted patches, as far as they exist."""

    @abstractmethod
    def rows(self, path: Path) -> Iterable[Row]:
        """Return the rows of one metadata file that belong to the split, in the file's order."""

    @cached_property
    def patches(self) -> list[Patch]:
        """The wanted patches, in the order of the metadata.

        Raises:
            DataError: There are no metadata, they cannot be read, or no patch is wanted.
        """
        root, split = self.selection.root, self.selection.split
        if not self.metadata:
            raise DataError(f"{root}: no {split} set of the layout {self.name!r}: {self.tree}.")
        found: list[Patch] = []
        seen: set[str] = set()
        for path in self.metadata:
            for number, row in enumerate(self.rows(path)):
                seen.add(str(row["label_type"]))
                if self.selection.wants(row):
                    found.append(make_patch(path.parent, number, row))
        if absent := [label for label in self.selection.label_types if label not in seen]:
            raise DataError(
                f"{root}: no {absent[0]!r} patches in the {split} set ({self.name}). Label types "
                f"may be separate downloads: put them side by side below anchors.root, or set "
                f"anchors.label_types to those that you have."
            )
        if not found:
            kinds = ", ".join(self.selection.cloud_coverage)
            raise DataError(f"{root}: no {kinds} patch in the {split} set ({self.name}).")
        return found

    @abstractmethod
    def check(self) -> None:
        """Check the files that patches share, before the first patch is read.

        Raises:
            DataError: One is missing or damaged.
        """


def folders(root: Path) -> list[Path]:
    """Return the root and the folders in it, each of which may hold a part of the dataset."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; anchors.root names a copy of CloudSEN12.")
    return [root, *sorted(path for path in root.iterdir() if path.is_dir())]
