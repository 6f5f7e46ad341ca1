"""CloudSEN12 in miniature: made patches in each of its three layouts, and real column names."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.types import Anchor

COLUMNS = (
    "index", "annotator_name", "roi_id", "s2_id_gee", "s2_id", "s2_date", "s2_sen2cor_version",
    "s2_fmask_version", "s2_cloudless_version", "s2_reflectance_conversion_correction",
    "s2_aot_retrieval_accuracy", "s2_water_vapour_retrieval_accuracy", "s2_view_off_nadir",
    "s2_view_sun_azimuth", "s2_view_sun_elevation", "s1_id", "s1_date",
    "s1_grd_post_processing_software_name", "s1_grd_post_processing_software_version",
    "s1_slc_processing_facility_name", "s1_slc_processing_software_version", "s1_radar_coverage",
    "land_cover", "label_type", "cloud_coverage", "test", "difficulty", "proj_epsg",
    "proj_geometry", "proj_shape", "proj_centroid", "proj_transform", "test_sr",
)  # fmt: skip
"""The columns of the real metadata."""
L1C = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
L2A = tuple(band for band in L1C if band != "B10")
RED_GREEN_BLUE = [3, 2, 1]
"""Places of B4, B3 and B2 in either."""
Kind = tuple[str, str, str]
"""Label type, cloud coverage, code of the split."""
KINDS: tuple[Kind, ...] = (
    ("high", "cloud-free", "0"),
    ("high", "cloudy", "0"),
    ("scribble", "cloud-free", "0"),
    ("nolabel", "cloud-free", "0"),
    ("high", "cloud-free", "1"),
    ("scribble", "cloud-free", "0"),
    ("scribble", "almost-clear", "0"),
    ("high", "cloud-free", "0"),
)
PAPERS = (0, 2, 5, 7)
"""Those of them that the paper would choose (section 2.1)."""


def patch(number: int, bands: int, side: int, dtype: Any = np.uint16) -> NDArray[Any]:
    """Return the made pixels of a patch: (bands, side, side)."""
    return np.random.default_rng(number).integers(0, 9000, (bands, side, side)).astype(dtype)


def holds(anchor: Anchor, pixels: NDArray[Any]) -> bool:
    """Return whether an anchor has exactly these pixels."""
    return anchor.pixels is not None and np.array_equal(anchor.pixels, pixels)


def names(number: int) -> tuple[str, str]:
    """Return ``roi_id`` and ``s2_id_gee`` of a made patch."""
    return f"ROI_{number // 2:04}", f"2019010{number + 1}T101031_20190101T101030_T11VLD"


def row(number: int, kind: Kind) -> dict[str, str]:
    """Return the metadata of a made patch."""
    roi, gee = names(number)
    known = {
        "index": str(number), "roi_id": roi, "s2_id_gee": gee,
        "s2_date": f"2019-01-0{number + 1}T10:10:31Z",
        "proj_centroid": f"POINT (-120.{number} 57.{number})", "proj_shape": "509",
        "proj_geometry": "POLYGON ((663300 6370780, 668390 6370780))",
    }  # fmt: skip
    chosen = dict(zip(("label_type", "cloud_coverage", "test"), kind, strict=True))
    return {column: known.get(column, "") for column in COLUMNS} | chosen


def write_csv(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """Write a metadata file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def write_raster(
    path: Path, pixels: NDArray[Any], bands: Sequence[str] = (), driver: str = "GTiff"
) -> None:
    """Write a patch as a GeoTIFF, or, with the driver ``JP2OpenJPEG``, as lossless JPEG 2000."""
    import rasterio

    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    place = rasterio.Affine(10, 0, 663_300, 0, -10, 6_375_870)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver=driver, crs="EPSG:32610", transform=place, **shape, **lossless
    ) as raster:
        raster.write(pixels)
        for number, name in enumerate(bands, 1):
            raster.set_band_description(number, name)


def write_geotiffs(root: Path) -> None:
    """Write v1, of which only the patches that the paper would choose were downloaded."""
    write_csv(root / "cloudsen12_metadata.csv", (row(n, kind) for n, kind in enumerate(KINDS)))
    for number in PAPERS:
        path = root / KINDS[number][0] / "/".join(names(number)) / "S2L2A.tif"
        write_raster(path, patch(number, 12, 509), L2A)


def write_memmaps(folder: Path, kinds: Sequence[Kind], first: int, padded: bool = False) -> None:
    """Write a split of v1.1, red, green, blue and B8A of it.

    Args:
        folder: Of the split.
        kinds: Of each patch.
        first: Number of the first patch.
        padded: Name the bands B04, … instead of B4, ….
    """
    write_csv(folder / "metadata.csv", [row(first + n, kind) for n, kind in enumerate(kinds)])
    pixels = np.stack([patch(first + n, 12, 512, np.int16) for n in range(len(kinds))])
    for index in (*RED_GREEN_BLUE, 8):
        name = L2A[index] if not padded else f"B{L2A[index][1:]:0>2}"
        pixels[:, index].astype("<i2").tofile(folder / f"L2A_{name}.dat")


def write_container(path: Path, files: Sequence[Path]) -> None:
    """Write an ``.mlstac`` container, byte for byte as mlstac 0.1.8 does."""
    header: dict[str, list[int]] = {}
    for file in files:
        header[file.stem] = [sum(size for _, size in header.values()), file.stat().st_size]
    text = json.dumps(header).encode()
    blobs = b"".join(file.read_bytes() for file in files)
    path.write_bytes(b"#y" + len(text).to_bytes(8, "little") + text + blobs)


def write_plus(
    root: Path,
    scratch: Path,
    driver: str = "GTiff",
    writer: Callable[[Path, Sequence[Path]], None] = write_container,
    side: int = 512,
) -> None:
    """Write the training set of CloudSEN12+: three wanted patches, 3, 0 and 2, in this order.

    Args:
        root: Folder of the dataset.
        scratch: Where the rasters lie before they are put into containers.
        driver: Format of the rasters.
        writer: Of containers.
        side: Of the patches, in pixels.
    """
    folder = root / "train"
    folder.mkdir(parents=True)
    kinds: list[Kind] = [KINDS[n] for n in (0, 1, 2, 5)]
    rows = [row(n, kind) | {"datapoint_id": f"p{n}"} for n, kind in enumerate(kinds)]
    large = row(4, KINDS[0]) | {"datapoint_id": "large", "proj_shape": "2000"}
    table = pa.Table.from_pylist([rows[3], *rows[:3], large])
    shapes = pa.array([int(shape) for shape in table["proj_shape"].to_pylist()])
    place = table.schema.get_field_index("proj_shape")
    pq.write_table(table.set_column(place, "proj_shape", shapes), folder / "metadata.parquet")
    for label in ("high", "scribble"):
        files = []
        for number, kind in enumerate(kinds):
            if kind[0] == label:
                files.append(scratch / f"p{number}.{'jp2' if driver.startswith('J') else 'tif'}")
                write_raster(files[-1], patch(number, 15, side), driver=driver)
        writer(folder / f"train_509_{label}.mlstac", files)
