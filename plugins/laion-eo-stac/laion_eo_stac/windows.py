"""Windows of an item's images, as reflectance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from laion_eo.errors import DataError
from laion_eo.raster import locate
from laion_eo.types import Anchor, SkippedAnchor
from laion_eo_stac.options import StacOptions
from laion_eo_stac.places import Guard
from laion_eo_stac.reflectance import scale_and_offset

if TYPE_CHECKING:
    from pystac import Item
    from rasterio.windows import Window


ENVIRONMENT = {
    # Read only what is needed: no listing of folders, no side files, the header in one request.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "GDAL_HTTP_MULTIRANGE": "YES",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MAX_RETRY": "2",
    "VSI_CACHE": "TRUE",
}


def read_windows(item: Item, config: StacOptions, guard: Guard) -> Iterator[Anchor | SkippedAnchor]:
    """Yield an item's windows, the most central first.

    Raises:
        DataError: An asset is missing, may not be fetched, or cannot be read.
    """
    import rasterio
    from rasterio.errors import RasterioError

    local = urlsplit(config.catalog).scheme == ""
    try:
        with (
            rasterio.Env(**ENVIRONMENT, GDAL_HTTP_TIMEOUT=str(config.timeout)),
            ExitStack() as stack,
        ):
            links = [guard.check(_href(item, name), local) for name in config.assets]
            rasters = [
                stack.enter_context(rasterio.open(link, driver=_driver(link))) for link in links
            ]
            for raster in rasters:
                _check_alike(item, raster, rasters[0], config.bands)
            for number, window in enumerate(_places(rasters[0], config)):
                yield _anchor(item, f"{item.id}/{number}", rasters, window, config)
    except (RasterioError, OSError) as error:
        raise DataError(f"{item.id}: {' '.join(str(error).split())}") from None


def _driver(link: str) -> str:
    """Return the one of GDAL's drivers that may open it: a VRT could name any file or server."""
    return "JP2OpenJPEG" if urlsplit(link).path.lower().endswith(".jp2") else "GTiff"


def _href(item: Item, name: str) -> str:
    if name not in item.assets:
        known = ", ".join(sorted(item.assets)) or "none"
        raise DataError(f"{item.id}: no asset {name!r}; it has {known} (anchors.assets)")
    href = item.assets[name].get_absolute_href()
    if href is None:
        raise DataError(f"{item.id}: the asset {name!r} has no address")
    return href


def _check_alike(item: Item, raster: Any, first: Any, bands: tuple[int, ...]) -> None:
    if raster.shape != first.shape:
        raise DataError(f"{item.id}: {raster.shape} and {first.shape} pixels: assets differ")
    if absent := [band for band in bands if band > raster.count]:
        raise DataError(f"{item.id}: no band {absent[0]}, the asset has {raster.count}")


def _places(raster: Any, config: StacOptions) -> list[Window]:
    """Return the windows: a grid over the image, or over ``bbox``."""
    from rasterio.warp import transform_bounds
    from rasterio.windows import Window

    top = left = 0
    height, width = raster.shape
    if config.bbox and raster.crs:
        box = transform_bounds("EPSG:4326", raster.crs, *config.bbox)
        wanted = raster.window(*box)
        top, left = max(0, int(np.ceil(wanted.row_off))), max(0, int(np.ceil(wanted.col_off)))
        height = min(height, int(wanted.row_off + wanted.height)) - top
        width = min(width, int(wanted.col_off + wanted.width)) - left
    side = min(config.side, height, width)
    if side < min(config.side, 16):
        raise DataError(f"no window of {config.side} pixels in anchors.bbox")
    down, across = height // side, width // side
    rows = top + (height - down * side) // 2 + side * np.arange(down)
    columns = left + (width - across * side) // 2 + side * np.arange(across)
    middle = (top + (height - side) / 2, left + (width - side) / 2)
    corners = [(int(row), int(column)) for row in rows for column in columns]
    corners.sort(key=lambda c: (c[0] - middle[0]) ** 2 + (c[1] - middle[1]) ** 2)
    return [Window(column, row, side, side) for row, column in corners[: config.per_item]]


def _anchor(
    item: Item, name: str, rasters: list[Any], window: Window, config: StacOptions
) -> Anchor | SkippedAnchor:
    bands = []
    holes = np.zeros((int(window.height), int(window.width)), dtype=bool)
    for asset, raster in zip(config.assets, rasters, strict=True):
        read = raster.read(list(config.bands), window=window, masked=True)
        holes |= np.ma.getmaskarray(read).any(axis=0)
        for band, values in zip(config.bands, read, strict=True):
            factor, offset = scale_and_offset(item, asset, band, config.scale, config.offset)
            bands.append(values.filled(0).astype(np.float32) * factor + offset)
    valid = 1 - float(holes.mean())
    if valid < config.min_valid:
        return SkippedAnchor(name, f"only {valid:.0%} of the window has data")
    pixels: NDArray[np.float32] = np.stack(bands).astype(np.float32)
    pixels[:, holes] = 0
    middle = (window.row_off + window.height / 2, window.col_off + window.width / 2)
    lon, lat, gsd = locate(rasters[0], *middle)
    acquired = item.datetime.astimezone(UTC) if item.datetime else None
    names = tuple(asset for asset in config.assets for _ in config.bands)
    stated = item.common_metadata.gsd
    return Anchor(name, pixels, 1.0, names, gsd or stated, lon, lat, acquired)
