"""Which patches of CloudSEN12 are wanted, and what the metadata say about each."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator, model_validator

from laion_eo.config import RunPath
from laion_eo.errors import DataError
from laion_eo.kinds import AnchorSourceConfig
from laion_eo.types import JSON

_L1C = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
BANDS = {"L1C": _L1C, "L2A": tuple(band for band in _L1C if band != "B10")}
"""The spectral bands of each level, in the order of the files; Sen2Cor drops B10 from L2A."""
LabelType = Literal["high", "scribble", "nolabel"]
CloudCoverage = Literal["cloud-free", "almost-clear", "low-cloudy", "mid-cloudy", "cloudy"]
Row = Mapping[str, JSON]
NEEDED = ("label_type", "cloud_coverage")
OPTIONAL = ("proj_centroid", "proj_shape", "s2_date")
_POINT = re.compile(r"POINT *\( *(-?[\d.]+) +(-?[\d.]+) *\)")


def short_name(band: str) -> str:
    """Return a band's name as CloudSEN12 writes it: B4 for B04."""
    return re.sub(r"^B0(?=\d)", "B", band)


class Selection(AnchorSourceConfig):
    """Which patches and bands; the defaults are the paper's (section 2.1, appendix A).

    Attributes:
        root: Folder of the dataset, or the one above it.
        split: ``train``, ``val`` or ``test``.
        label_types: Kinds of annotation.
        cloud_coverage: Classes of cloud cover.
        level: ``L2A`` (surface reflectance) or ``L1C`` (at the top of the atmosphere).
        bands: Red, green, blue; B04 and B4 are the same.
    """

    root: RunPath
    split: Literal["train", "val", "test"] = "train"
    label_types: tuple[LabelType, ...] = Field(default=("high", "scribble"), min_length=1)
    cloud_coverage: tuple[CloudCoverage, ...] = Field(default=("cloud-free",), min_length=1)
    level: Literal["L2A", "L1C"] = "L2A"
    bands: tuple[str, ...] = ("B04", "B03", "B02")

    @field_validator("bands")
    @classmethod
    def _grey_or_colour(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        if len(bands) not in (1, 3):
            raise ValueError(f"one band or three, not {len(bands)}")
        return bands

    @model_validator(mode="after")
    def _known_bands(self) -> Selection:
        known = BANDS[self.level]
        if unknown := [band for band in self.bands if short_name(band) not in known]:
            raise ValueError(
                f"no band {unknown[0]!r} in {self.level}; its bands are {', '.join(known)}"
            )
        return self

    def wants(self, row: Row) -> bool:
        """Return whether the patch of a row of the metadata is wanted."""
        return (
            row["label_type"] in self.label_types and row["cloud_coverage"] in self.cloud_coverage
        )


@dataclass(frozen=True, slots=True)
class Patch:
    """One wanted patch.

    Attributes:
        id: Its name, the same in every run.
        folder: The folder of its metadata: the split's, or the tree's.
        row: Its row index in these metadata.
        label_type: Its kind of annotation.
        lon: Longitude of its centre in degrees.
        lat: Latitude of its centre in degrees.
        acquired: When Sentinel-2 acquired it, in UTC.
    """

    id: str
    folder: Path
    row: int
    label_type: str
    lon: float | None = None
    lat: float | None = None
    acquired: datetime | None = None


def make_patch(folder: Path, number: int, row: Row) -> Patch:
    """Return the patch of a row of the metadata.

    Args:
        folder: The folder of the metadata.
        number: The row index.
        row: The row.

    Raises:
        DataError: The row has no usable name of a patch.
    """
    name = row.get("datapoint_id") or f"{row.get('roi_id')}/{row.get('s2_id_gee')}"
    if not isinstance(name, str) or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise DataError(f"{folder}: row {number + 1} of the metadata names no patch ({name!r}).")
    point = _POINT.search(str(row.get("proj_centroid", "")))
    lon, lat = (float(point[1]), float(point[2])) if point else (None, None)
    label, acquired = str(row["label_type"]), _utc(row.get("s2_date"))
    return Patch(name, folder, number, label, lon, lat, acquired)


def _utc(value: JSON) -> datetime | None:
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def csv_rows(path: Path, needed: Collection[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a metadata file, with the needed and optional columns only.

    Raises:
        DataError: The file cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            _check_columns(path, reader.fieldnames or (), needed)
            for row in reader:
                yield {name: row.get(name) or "" for name in (*needed, *OPTIONAL)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error) from None


def parquet_rows(path: Path, needed: Collection[str]) -> list[dict[str, JSON]]:
    """Return the rows of a metadata file, with the needed and optional columns only.

    Raises:
        DataError: The file cannot be read, or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
        _check_columns(path, file.schema_arrow.names, needed)
        columns = [name for name in (*needed, *OPTIONAL) if name in file.schema_arrow.names]
        rows: list[dict[str, JSON]] = file.read(columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from None
    return rows


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error for a file that cannot be read."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return DataError(f"{path}: cannot be read ({reason}).")


def _check_columns(path: Path, columns: Iterable[str], needed: Collection[str]) -> None:
    known = list(columns)
    if absent := [name for name in needed if name not in known]:
        raise DataError(
            f"{path}: no column {absent[0]!r}; is this CloudSEN12's metadata? "
            f"It has: {', '.join(known[:8]) or 'none'}{' …' if len(known) > 8 else ''}."
        )
