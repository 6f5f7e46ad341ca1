"""Anchor source ``images``: a folder of GeoTIFF, JPEG, PNG or WebP files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePath

from pydantic import Field, field_validator, model_validator

from laion_eo.columns import require_column
from laion_eo.config import RunPath
from laion_eo.errors import DataError, did_you_mean
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import AnchorSource, AnchorSourceConfig
from laion_eo.raster import GEOTIFF, PICTURES, read_anchor
from laion_eo.types import JSON, Anchor, SkippedAnchor


class FolderAnchors(AnchorSource):
    """The image files of a folder, sorted by name; a damaged one is skipped and counted."""

    name = "images"
    summary = "a folder of GeoTIFF, JPEG, PNG or WebP files"

    class Config(AnchorSourceConfig):
        """Options.

        Attributes:
            root: The folder.
            pattern: Which files, as a glob below the folder.
            bands: 1-based numbers of the bands in GeoTIFFs: red, green and blue, or a grey one.
            scale: Divisor that maps the values to 0..1. By default 10,000 for integer GeoTIFFs
                (Sentinel-2 reflectance), 255 for 8-bit images, 1 for floats.
            table: A CSV that lists the files in its column ``file`` or ``file_name``; only these
                are used, in this order.
            where: Columns of the table and their allowed values, such as
                ``{cloud_free = ["yes"]}``.
        """

        root: RunPath
        pattern: str = "**/*"
        bands: tuple[int, ...] = Field(default=(1, 2, 3))
        scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
        table: RunPath | None = None
        where: dict[str, tuple[str, ...]] = Field(default_factory=dict)

        @field_validator("bands")
        @classmethod
        def _grey_or_colour(cls, bands: tuple[int, ...]) -> tuple[int, ...]:
            if len(bands) not in (1, 3) or min(bands) < 1:
                raise ValueError(f"one or three band numbers from 1 on, not {list(bands)}")
            return bands

        @field_validator("pattern")
        @classmethod
        def _below_root(cls, pattern: str) -> str:
            if not pattern or not _is_below(pattern):
                raise ValueError(f"a pattern of files below the folder, not {pattern!r}")
            return pattern

        @model_validator(mode="after")
        def _where_needs_table(self) -> FolderAnchors.Config:
            if self.where and self.table is None:
                raise ValueError("'where' chooses rows of 'table', which is not given")
            return self

    config: Config

    @cached_property
    def _files(self) -> list[Path]:
        root = self.config.root
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; anchors.root names a folder of images.")
        return self._listed(self.config.table) if self.config.table else self._found()

    def _found(self) -> list[Path]:
        known = GEOTIFF + PICTURES
        files = sorted(
            path
            for path in self.config.root.glob(self.config.pattern)
            if path.suffix.lower() in known and path.is_file()
        )
        if not files:
            kinds = f"GeoTIFF, JPEG, PNG or WebP file matches {self.config.pattern!r}"
            raise DataError(f"{self.config.root}: no {kinds} (anchors.root, anchors.pattern).")
        return files

    def _listed(self, table: Path) -> list[Path]:
        try:
            with table.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream)
                columns = list(reader.fieldnames or ())
                file = require_column("file", columns, table)
                self._check_columns(table, columns)
                files = [
                    self._file(row[file], f"{table}, line {reader.line_num}")
                    for row in reader
                    if all(row[key] in allowed for key, allowed in self.config.where.items())
                ]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{table}: not a CSV of files ({reason}); see anchors.table.") from None
        if not files:
            raise DataError(f"{table}: no row has {self.config.where or 'a file'} (anchors.where).")
        return files

    def _check_columns(self, table: Path, columns: Sequence[str]) -> None:
        for wanted in self.config.where:
            if wanted not in columns:
                near = did_you_mean(wanted, columns)
                raise DataError(
                    f"{table}: no column {wanted!r}.{near} It has {', '.join(columns)}."
                )

    def _file(self, name: str | None, where: str) -> Path:
        if not name or not _is_below(name):
            raise DataError(f"{where}: {name!r} is not a file below anchors.root.")
        return self.config.root / name

    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield one anchor per file.

        Raises:
            DataError: The folder or the table is missing, or no file is selected.
        """
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
        """Return a hash of the files' names, sizes and modification times."""
        return files_identity(path for path in self._files if path.exists())


def _is_below(name: str) -> bool:
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts
