"""Reads image files as bands: GeoTIFF with rasterio, JPEG, PNG and WebP with Pillow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from laion_eo.errors import DataError
from laion_eo.images import MAX_PIXELS, MAX_SIDE, ImageError, read_image, silenced
from laion_eo.types import Anchor

GEOTIFF = (".tif", ".tiff")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
FORMATS = {"GTiff": "GeoTIFF", "JP2OpenJPEG": "JPEG 2000"}
"""Names of formats, by GDAL's names of their drivers."""
METRES_PER_DEGREE = 111_320.0
"""Of latitude; varies by 1 % between the equator and the poles."""


def default_scale(dtype: np.dtype[np.generic]) -> float:
    """Return the divisor that maps values of a type to 0..1.

    255 for 8-bit pictures, 10,000 (Sentinel-2's scale of reflectance) for other integers, 1 for
    floats.
    """
    if dtype == np.uint8:
        return 255.0
    return 10_000.0 if np.issubdtype(dtype, np.integer) else 1.0


def read_anchor(path: Path, name: str, bands: Sequence[int], scale: float | None = None) -> Anchor:
    """Read one image file as an anchor.

    Args:
        path: A GeoTIFF, JPEG, PNG or WebP file.
        name: The anchor's id.
        bands: 1-based numbers of the red, green and blue bands, or of a single grey one; ignored
            for pictures, which have their own three, and for GeoTIFFs of one band, which are grey.
        scale: Divisor that maps the values to 0..1; by type if not given.

    Raises:
        DataError: The file is damaged, or lacks a band.
    """
    if path.suffix.lower() in GEOTIFF:
        return _read_geotiff(path, name, bands, scale)
    try:
        pixels = np.moveaxis(read_image(path), -1, 0)
    except (ImageError, OSError) as error:
        raise DataError(f"{path}: {error}") from None
    return Anchor(name, pixels, scale or default_scale(pixels.dtype), ("red", "green", "blue"))


@contextmanager
def open_raster(
    source: Path | bytes, name: object, driver: Literal["GTiff", "JP2OpenJPEG"] = "GTiff"
) -> Iterator[Any]:
    """Open a third-party raster file, with GDAL's own messages silenced.

    Only one of GDAL's drivers may read it, and no file beside it is read: a ``.tif`` that really is
    a VRT could name any file or server.

    Args:
        source: The file, or its bytes.
        name: What messages call it.
        driver: GDAL's name of its format.

    Yields:
        The :class:`rasterio.DatasetReader`.

    Raises:
        DataError: Here or inside the ``with`` block: the file is damaged or of another format.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    with ExitStack() as stack:
        stack.enter_context(silenced)
        stack.enter_context(
            rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
        )
        path: str | Path = source if isinstance(source, Path) else ""
        try:
            if isinstance(source, bytes):
                path = stack.enter_context(rasterio.MemoryFile(source)).name
            yield stack.enter_context(rasterio.open(path, driver=driver))
        except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
            if isinstance(source, Path) and not source.exists():
                raise DataError(f"{name}: no such file.") from None
            reason = " ".join(str(error.__cause__ or error).split()).replace(f"'{path}' ", "")
            raise DataError(f"{name}: damaged, or not a {FORMATS[driver]} ({reason}).") from None


def read_bands(raster: Any, numbers: Sequence[int], name: object) -> NDArray[Any]:
    """Read bands of an open raster; pixels that the file marks as missing are 0.

    As with pictures, a side longer than :data:`~laion_eo.images.MAX_SIDE` is scaled down.

    Args:
        raster: From :func:`open_raster`.
        numbers: 1-based band numbers.
        name: What messages call the file.

    Returns:
        (bands, height, width), in the type of the file.

    Raises:
        DataError: A band is missing, or the file is too large or holds complex numbers.
    """
    from rasterio.enums import Resampling

    if absent := [number for number in numbers if not 1 <= number <= raster.count]:
        raise DataError(f"{name}: no band {absent[0]}, it has {raster.count}.")
    if raster.width * raster.height > MAX_PIXELS:
        size = f"{raster.width} x {raster.height} pixels"
        raise DataError(f"{name}: {size}, more than {MAX_PIXELS}: cut it into patches.")
    shrink = max(1.0, max(raster.shape) / MAX_SIDE)
    shape = (len(numbers), *(max(1, round(side / shrink)) for side in raster.shape))
    pixels = raster.read(list(numbers), out_shape=shape, masked=True, resampling=Resampling.average)
    if pixels.dtype.kind not in "uif":
        raise DataError(f"{name}: values of type {pixels.dtype} are no reflectance.")
    filled: NDArray[Any] = pixels.filled(0)
    return filled


def _read_geotiff(path: Path, name: str, bands: Sequence[int], scale: float | None) -> Anchor:
    with open_raster(path, path) as raster:
        chosen = [1] if raster.count == 1 and len(bands) == 3 else list(bands)
        pixels = read_bands(raster, chosen, path)
        names = tuple(raster.descriptions[b - 1] or f"band {b}" for b in chosen)
        lon, lat, gsd = locate(raster, raster.height / 2, raster.width / 2)
        if gsd is not None:
            gsd *= raster.height / pixels.shape[1]  # if it was scaled down
        acquired = _acquired(raster.tags(ns="IMAGERY").get("ACQUISITIONDATETIME", ""))
    divisor = scale or default_scale(pixels.dtype)
    return Anchor(name, pixels, divisor, names, gsd, lon, lat, acquired)


def locate(
    raster: Any, row: float, column: float
) -> tuple[float | None, float | None, float | None]:
    """Return the location of a point of an open raster, and the ground sample distance.

    Args:
        raster: A :class:`rasterio.DatasetReader`.
        row: In pixels from the top edge: half the height is the middle.
        column: In pixels from the left edge.

    Returns:
        Longitude and latitude in degrees (WGS 84), and metres per pixel; all ``None`` if the raster
        has no usable coordinates.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    if not raster.crs:
        return None, None, None
    grid = raster.transform
    x = grid.a * column + grid.b * row + grid.c
    y = grid.d * column + grid.e * row + grid.f
    try:
        (lon,), (lat,) = transform(raster.crs, "EPSG:4326", [x], [y])
    except (RasterioError, CPLE_BaseError, ValueError):
        # Local coordinates, or the Moon's: the image is useful nevertheless.
        return None, None, None
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return None, None, None
    projected = raster.crs.is_projected
    unit = raster.crs.linear_units_factor[1] if projected else METRES_PER_DEGREE
    # The height of a pixel, since in degrees its width would depend on the latitude.
    return float(lon), float(lat), math.hypot(grid.b, grid.e) * unit


def _acquired(text: str) -> datetime | None:
    """Parse GDAL's acquisition time, in UTC; the TIFF's own date is that of the file."""
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        return None
