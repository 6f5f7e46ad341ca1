"""Anchors from any STAC API or static catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import AnchorSource


@hookimpl
def laion_eo_anchor_sources() -> Sequence[type[AnchorSource]]:
    """Register the source; pystac-client and rasterio are imported when a run uses it."""
    from laion_eo_stac.source import StacAnchors

    return [StacAnchors]
