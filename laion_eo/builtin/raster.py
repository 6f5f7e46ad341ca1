"""Reading image files as bands: GeoTIFF through rasterio, JPEG and PNG through Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from laion_eo.errors import DataError
from laion_eo.images import ImageError, read_image
from laion_eo.types import Anchor

GEOTIFF = (".tif", ".tiff")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def default_scale(dtype: np.dtype[np.generic]) -> float:
    """Return what divides values of a type to give 0..1.

    8-bit pictures: 255. Other integers: 10,000, the reflectance scale of Sentinel-2. Floats: 1.
    """
    if dtype == np.uint8:
        return 255.0
    return 10_000.0 if np.issubdtype(dtype, np.integer) else 1.0


def read_anchor(path: Path, name: str, bands: Sequence[int], scale: float | None = None) -> Anchor:
    """Read one image file as an anchor.

    Args:
        path: A GeoTIFF, JPEG, PNG or WebP file.
        name: The anchor's id.
        bands: 1-based numbers of the bands that are red, green and blue (or the single grey one);
            a picture has its own three.
        scale: What divides the values to give 0..1; by type if not given.

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


def _read_geotiff(path: Path, name: str, bands: Sequence[int], scale: float | None) -> Anchor:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(path) as raster:
            chosen = [1] if raster.count == 1 else list(bands)
            if absent := [band for band in chosen if band > raster.count]:
                raise DataError(f"{path}: no band {absent[0]}, it has {raster.count}")
            pixels = raster.read(chosen)
            names = tuple(raster.descriptions[b - 1] or f"band {b}" for b in chosen)
            lon, lat, gsd = _place(raster)
            acquired = _acquired(raster.tags())
    except (RasterioError, OSError, ValueError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from None
    divisor = scale or default_scale(pixels.dtype)
    return Anchor(name, pixels, divisor, names, gsd, lon, lat, acquired)


def _place(raster: object) -> tuple[float | None, float | None, float | None]:
    """Return longitude and latitude of the centre in degrees, and metres per pixel."""
    from rasterio.warp import transform

    crs = getattr(raster, "crs", None)
    if not crs:
        return None, None, None
    x, y = raster.transform * (raster.width / 2, raster.height / 2)  # type: ignore[attr-defined]
    (lon,), (lat,) = transform(crs, "EPSG:4326", [x], [y])
    size = abs(raster.transform.a)  # type: ignore[attr-defined]
    factor = crs.linear_units_factor[1] if crs.is_projected else None
    return float(lon), float(lat), size * factor if factor else None


def _acquired(tags: dict[str, str]) -> datetime | None:
    """Return the time that the TIFF's own tag states; the tag has no zone and is taken as UTC."""
    try:
        return datetime.strptime(tags["TIFFTAG_DATETIME"], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return None
