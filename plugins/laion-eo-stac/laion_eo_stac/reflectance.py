"""From stored values to reflectance, 0 to about 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pystac import Item

SENTINEL_2 = ("sentinel-2", "s2a", "s2b", "s2c")
QUANTIFICATION = 10_000.0
"""Sentinel-2's digital numbers for a reflectance of 1."""
SHIFT = -1_000.0
"""Offset in digital numbers of Sentinel-2 products since processing baseline 04.00 (2022-01)."""
FIRST_SHIFTED = 4.0


def scale_and_offset(
    item: Item, asset: str, band: int, scale: float | None, offset: float | None
) -> tuple[float, float]:
    """Return (scale, offset): reflectance = stored value x scale + offset.

    The options of the run file come first, then what the catalogue says of the band
    (``raster:bands``, or STAC 1.1's ``bands``), then Sentinel-2's own rule: 1/10,000, and -1,000
    digital numbers since processing baseline 04.00, unless the provider has subtracted them.

    Args:
        item: The item.
        asset: Name of the asset.
        band: 1-based number of the band in the asset.
        scale: The option; ``None`` if it is not given.
        offset: Likewise.
    """
    stated = _stated(item.assets[asset].extra_fields, band)
    found = scale if scale is not None else stated.get("raster:scale", stated.get("scale"))
    factor = 1 / QUANTIFICATION if found is None else float(found)
    shift = offset if offset is not None else stated.get("raster:offset", stated.get("offset"))
    if shift is None:
        shift = SHIFT * factor if _is_shifted(item) else 0.0
    return factor, float(shift)


def _stated(fields: dict[str, Any], band: int) -> dict[str, Any]:
    """Return the fields of one band of an asset; those of the asset where the band has none."""
    fallback: dict[str, Any] = {
        key: fields[key] for key in ("raster:scale", "raster:offset") if key in fields
    }
    for name in ("raster:bands", "bands"):
        bands = fields.get(name) or []
        if len(bands) >= band:
            return {**fallback, **bands[band - 1]}
    return fallback


def _is_shifted(item: Item) -> bool:
    properties = item.properties
    if properties.get("earthsearch:boa_offset_applied"):
        return False
    maker = properties.get("constellation") or properties.get("platform") or item.collection_id
    if not str(maker).lower().startswith(SENTINEL_2):
        return False
    stated = properties.get("s2:processing_baseline", properties.get("processing:version"))
    try:
        return stated is not None and float(str(stated)) >= FIRST_SHIFTED
    except ValueError:
        return False
