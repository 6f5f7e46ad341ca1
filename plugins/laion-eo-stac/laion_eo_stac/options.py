"""The options of the catalogue and of the windows."""

from __future__ import annotations

from pydantic import Field, model_validator

from laion_eo.component import ComponentConfig


class StacOptions(ComponentConfig):
    """Options of the source.

    Attributes:
        catalog: URL of a STAC API, or URL or path of a static catalogue.
        collections: Collections to search; all of them by default.
        bbox: West, south, east, north in degrees: of items that touch it, the windows inside it.
        datetime: A day, a moment, or an interval such as ``2023-05-01/2023-09-30``.
        max_cloud_cover: Per cent; with it, items that do not state theirs are left out.
        limit: Items at most.
        assets: The assets of red, green and blue, or one that has them all.
        bands: 1-based numbers of the bands to read from each asset.
        side: Height and width of a window in pixels.
        per_item: Windows of each item at most, the most central first.
        min_valid: Share of a window's pixels that must have data.
        scale: What a stored value is multiplied by, where the catalogue does not say.
        offset: What is then added, likewise; by default that of the Sentinel-2 baseline.
        allow_hosts: Hosts that may have private or loopback addresses, by name.
        timeout: Seconds to wait for each response.
    """

    catalog: str
    collections: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    datetime: str | None = None
    max_cloud_cover: float | None = Field(default=None, ge=0, le=100)
    limit: int = Field(default=1000, ge=1)
    assets: tuple[str, ...] = Field(default=("B04", "B03", "B02"), min_length=1)
    bands: tuple[int, ...] = Field(default=(1,), min_length=1)
    side: int = Field(default=512, ge=16)
    per_item: int = Field(default=1, ge=1)
    min_valid: float = Field(default=0.9, ge=0, le=1)
    scale: float | None = Field(default=None, gt=0)
    offset: float | None = None
    allow_hosts: tuple[str, ...] = ()
    timeout: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _three_bands(self) -> StacOptions:
        count = len(self.assets) * len(self.bands)
        if count not in (1, 3):
            raise ValueError(f"assets and bands give {count} bands; 1 or 3 are wanted")
        return self
