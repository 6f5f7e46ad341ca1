"""Anchor source ``images``: any folder of GeoTIFF, JPEG or PNG files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pydantic import Field

from laion_eo.builtin.raster import GEOTIFF, PICTURES, read_anchor
from laion_eo.component import ComponentConfig
from laion_eo.config import RunPath
from laion_eo.errors import DataError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import AnchorSource
from laion_eo.types import JSON, Anchor, SkippedAnchor


class FolderAnchors(AnchorSource):
    """The image files of a folder, sorted by name; a damaged one is skipped and counted."""

    name = "images"
    summary = "a folder of GeoTIFF, JPEG or PNG files"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            root: The folder.
            pattern: Which files, as a glob below the folder.
            bands: 1-based band numbers of red, green and blue in GeoTIFFs.
            scale: What divides the values to give 0..1. By default 10,000 for integer GeoTIFFs
                (Sentinel-2 reflectance), 255 for 8-bit images, 1 for floats.
            table: A CSV that lists the files, in its column ``file``; only those it lists are used.
            where: Columns of the table and the values that they may have, such as
                ``{cloud_free = ["yes"]}``.
        """

        root: RunPath
        pattern: str = "**/*"
        bands: tuple[int, ...] = Field(default=(1, 2, 3))
        scale: float | None = Field(default=None, gt=0)
        table: RunPath | None = None
        where: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    config: Config

    @cached_property
    def _files(self) -> list[Path]:
        root = self.config.root
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; anchors.root names a folder of images.")
        files = self._listed() if self.config.table else self._found()
        if not files:
            raise DataError(
                f"{root}: no GeoTIFF, JPEG or PNG file matches {self.config.pattern!r}."
            )
        return files

    def _found(self) -> list[Path]:
        known = GEOTIFF + PICTURES
        return sorted(
            path
            for path in self.config.root.glob(self.config.pattern)
            if path.suffix.lower() in known and path.is_file()
        )

    def _listed(self) -> list[Path]:
        assert self.config.table
        try:
            with self.config.table.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
        except FileNotFoundError:
            raise DataError(f"{self.config.table}: no such table (anchors.table).") from None
        wanted = {"file", *self.config.where}
        if rows and (absent := wanted - rows[0].keys()):
            raise DataError(f"{self.config.table}: no column {sorted(absent)[0]!r}.")
        kept = (
            row for row in rows if all(row[key] in may for key, may in self.config.where.items())
        )
        return [self.config.root / row["file"] for row in kept]

    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield one anchor per file."""
        for path in self._files:
            name = path.relative_to(self.config.root).as_posix()
            try:
                yield read_anchor(path, name, self.config.bands, self.config.scale)
            except DataError as error:
                yield SkippedAnchor(name, str(error))

    def count(self) -> int:
        """Return the number of files."""
        return len(self._files)

    def identity(self) -> JSON:
        """Return the files' names, sizes and times."""
        return files_identity(path for path in self._files if path.exists())
