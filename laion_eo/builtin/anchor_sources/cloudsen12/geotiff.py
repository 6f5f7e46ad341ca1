"""CloudSEN12 v1: a tree of GeoTIFFs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from laion_eo.builtin.anchor_sources.cloudsen12.layout import Layout, folders
from laion_eo.builtin.anchor_sources.cloudsen12.selection import (
    BANDS,
    NEEDED,
    Patch,
    Row,
    csv_rows,
    short_name,
)
from laion_eo.errors import DataError
from laion_eo.raster import open_raster, read_bands

METADATA = "cloudsen12_metadata.csv"


class GeoTiffTree(Layout):
    """Patches of 509 pixels, one folder each, below the folder of their label type.

    ``S2L1C.tif`` in such a folder is documented. ``S2L2A.tif`` beside it is what public code reads;
    it was not seen in the dataset itself. A tree without the folders of label types
    (``{roi_id}/{s2_id_gee}``) is read, too. Bands are matched on their names in the file (B1, B2,
    …), or, if they have no names, on the order of the level.

    In v1 the column ``test`` is 0 for training and 1 for testing, so its training set includes what
    v1.1 calls validation; if a file also has 2, then 0, 1, 2 are train, val, test.
    """

    name = "geotiff"
    tree = f"{METADATA} and {{label_type}}/{{roi_id}}/{{s2_id_gee}}/S2L2A.tif expected (v1)"

    @cached_property
    def metadata(self) -> list[Path]:
        """The tree's one metadata file."""
        return [path for f in folders(self.selection.root) if (path := f / METADATA).is_file()][:1]

    def rows(self, path: Path) -> Iterator[Row]:
        """Return the rows of the split."""
        rows = list(csv_rows(path, (*NEEDED, "roi_id", "s2_id_gee", "test")))
        codes = [row["test"].removesuffix(".0") for row in rows]
        names = ("train", "val", "test") if "2" in codes else ("train", "test")
        if self.selection.split not in names:
            raise DataError(
                f"{path}: no {self.selection.split!r} set; v1 includes it in the training set "
                f"(anchors.split = 'train')."
            )
        wanted = str(names.index(self.selection.split))
        return (row for row, code in zip(rows, codes, strict=True) if code == wanted)

    def check(self) -> None:
        """Check that the file of at least one patch exists."""
        if not any(True for _ in self.data_files()):
            path = self._file(self.patches[0])
            raise DataError(f"{path}: no such file, nor any other patch; {self.tree}.")

    def read(self, patch: Patch) -> NDArray[Any]:
        """Return the bands of one patch."""
        path = self._file(patch)
        with open_raster(path, path) as raster:
            named = {short_name(name): n for n, name in enumerate(raster.descriptions, 1) if name}
            if not named:
                named = {band: n for n, band in enumerate(BANDS[self.selection.level], 1)}
            bands = [short_name(band) for band in self.selection.bands]
            if absent := [band for band in bands if band not in named]:
                raise DataError(f"{path}: no band {absent[0]}, it has {', '.join(named)}.")
            return read_bands(raster, [named[band] for band in bands], path)

    def data_files(self) -> Iterator[Path]:
        """Return the GeoTIFFs of the wanted patches that exist."""
        return (path for patch in self.patches if (path := self._file(patch)).is_file())

    def _file(self, patch: Patch) -> Path:
        name = f"S2{self.selection.level}.tif"
        paths = (patch.folder / patch.label_type / patch.id / name, patch.folder / patch.id / name)
        return next((path for path in paths if path.is_file()), paths[0])
