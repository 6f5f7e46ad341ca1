"""CloudSEN12 v1.1: one raw file per band and split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.anchor_sources.cloudsen12.layout import Layout, folders
from laion_eo.builtin.anchor_sources.cloudsen12.selection import (
    NEEDED,
    Patch,
    Row,
    csv_rows,
    short_name,
)
from laion_eo.errors import DataError

SIDE = 512


class Memmaps(Layout):
    """Patches of 509 pixels padded to 512, one after another in one file per band.

    Row i of ``{split}/metadata.csv`` is patch i of ``{split}/L2A_B4.dat`` and of the other bands'
    files (``B04`` is read, too): raw little-endian int16, (n, 512, 512), without a header. The
    splits are folders; the column ``test`` repeats the split (0, 1, 2) and is ignored. High and
    scribble are separate repositories: a split's folder is searched for in the root and in each
    folder of the root, sorted by name.
    """

    name = "memmap"
    tree = (
        "{split}/metadata.csv and {split}/L2A_B4.dat, … expected, "
        "below the root or one folder of it (v1.1)"
    )

    @cached_property
    def metadata(self) -> list[Path]:
        """The metadata of each part of the split."""
        splits = (folder / self.selection.split for folder in folders(self.selection.root))
        return [path for split in splits if (path := split / "metadata.csv").is_file()]

    @cached_property
    def _tables(self) -> dict[Path, list[Row]]:
        needed = (*NEEDED, "roi_id", "s2_id_gee")
        return {path.parent: list(csv_rows(path, needed)) for path in self.metadata}

    def rows(self, path: Path) -> list[Row]:
        """Return all rows: the folder is the split."""
        return self._tables[path.parent]

    def check(self) -> None:
        """Check that each band's file has the size that follows from the metadata."""
        for folder in self._folders():
            for band in self.selection.bands:
                self._checked_file(folder, band)

    def read(self, patch: Patch) -> NDArray[Any]:
        """Return the bands of one patch."""
        return np.stack([band[patch.row] for band in self._bands(patch.folder)])

    def data_files(self) -> Iterator[Path]:
        """Return the files of the wanted bands that exist."""
        for folder in self._folders():
            for band in self.selection.bands:
                if (path := self._file(folder, band)).is_file():
                    yield path

    def _file(self, folder: Path, band: str) -> Path:
        short = short_name(band)
        names = (short, f"B{short.removeprefix('B'):0>2}")
        paths = [folder / f"{self.selection.level}_{name}.dat" for name in names]
        return next((path for path in paths if path.is_file()), paths[0])

    def _folders(self) -> Iterable[Path]:
        return dict.fromkeys(patch.folder for patch in self.patches)

    def _checked_file(self, folder: Path, band: str) -> Path:
        path = self._file(folder, band)
        if not path.is_file():
            raise DataError(f"{path}: no such file; {self.tree}.")
        patches = len(self._tables[folder])
        expected, size = patches * SIDE * SIDE * 2, path.stat().st_size
        if size != expected:
            raise DataError(
                f"{path}: {size} bytes, but {patches} rows of metadata.csv need {expected}; "
                "one of the two is incomplete: download it again."
            )
        return path

    @cached_property
    def _open(self) -> dict[Path, list[NDArray[np.int16]]]:
        return {}

    def _bands(self, folder: Path) -> list[NDArray[np.int16]]:
        if folder not in self._open:
            shape = (len(self._tables[folder]), SIDE, SIDE)
            self._open[folder] = [
                np.memmap(self._checked_file(folder, band), dtype="<i2", mode="r", shape=shape)
                for band in self.selection.bands
            ]
        return self._open[folder]
