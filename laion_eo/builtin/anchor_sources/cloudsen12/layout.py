"""What a layout of CloudSEN12 must be able to do."""

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
    """One way in which CloudSEN12 lies on disk.

    Attributes:
        name: What the option ``layout`` calls it.
        tree: The files that it expects, for messages.
        selection: What is wanted of it.
    """

    name: ClassVar[str]
    tree: ClassVar[str]

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    @property
    @abstractmethod
    def metadata(self) -> Sequence[Path]:
        """The metadata files that are there, in order."""

    @abstractmethod
    def read(self, patch: Patch) -> NDArray[Any]:
        """Return the bands asked for: (bands, height, width), reflectance times 10,000.

        Raises:
            DataError: The patch is missing or damaged.
        """

    @abstractmethod
    def data_files(self) -> Iterable[Path]:
        """Return the files that hold the pixels of the wanted patches, those that there are."""

    @abstractmethod
    def rows(self, path: Path) -> Iterable[Row]:
        """Return the rows of one metadata file that are of the split, in the order of the file."""

    @cached_property
    def patches(self) -> list[Patch]:
        """The patches wanted, in the order of the metadata.

        Raises:
            DataError: There is no metadata, it cannot be read, or none of it is wanted.
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
                f"may be downloads of their own: put them side by side below anchors.root, or set "
                f"anchors.label_types to those that are there."
            )
        if not found:
            kinds = ", ".join(self.selection.cloud_coverage)
            raise DataError(f"{root}: no {kinds} patch in the {split} set ({self.name}).")
        return found

    @abstractmethod
    def check(self) -> None:
        """Look at what all patches share, before the first is read.

        Raises:
            DataError: It is missing or damaged.
        """


def folders(root: Path) -> list[Path]:
    """Return the root and the folders in it: where a part of the dataset may lie."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; anchors.root names a copy of CloudSEN12.")
    return [root, *sorted(path for path in root.iterdir() if path.is_dir())]
