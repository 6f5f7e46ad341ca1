"""Anchor source ``stac``: windows of the images that a STAC catalogue lists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from laion_eo.component import ComponentConfig
from laion_eo.errors import DataError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import AnchorSource
from laion_eo.types import JSON, Anchor, SkippedAnchor
from laion_eo_stac.catalog import list_items
from laion_eo_stac.places import Guard
from laion_eo_stac.windows import read_windows

if TYPE_CHECKING:
    from pystac import Item


class StacAnchors(AnchorSource):
    """Square windows of the items that a search finds, as reflectance (section 2.1 of the paper).

    Only the bytes of the windows are read, where the images are cloud-optimised GeoTIFFs.
    """

    name = "stac"
    summary = "windows of images from a STAC API or static catalogue"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            catalog: URL of a STAC API, or URL or path of a static catalogue.
            collections: Collections to search; all of them by default.
            bbox: West, south, east, north in degrees: items that touch it, and windows inside it.
            datetime: A day, a moment, or an interval such as ``2023-05-01/2023-09-30``.
            max_cloud_cover: Per cent; items that do not state theirs are then left out.
            limit: Items at most.
            assets: The assets of red, green and blue, or one that has them all.
            bands: 1-based band numbers in each asset; all that are named are read.
            side: Height and width of a window in pixels.
            per_item: Windows of each item at most, the most central first.
            min_valid: Share of a window's pixels that must have data.
            scale: What a stored value is multiplied by, where the catalogue does not say.
            offset: What is then added, likewise; by default that of the Sentinel-2 baseline.
            allow_hosts: Hosts that may have private or loopback addresses, by name.
            timeout: Seconds for each answer.
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
        def _three_bands(self) -> StacAnchors.Config:
            count = len(self.assets) * len(self.bands)
            if count not in (1, 3):
                raise ValueError(f"assets and bands give {count} bands; 1 or 3 are wanted")
            return self

    config: Config

    @cached_property
    def _items(self) -> list[Item]:
        items = list_items(self.config, Guard(self.config.allow_hosts))
        if not items:
            raise DataError(f"{self.config.catalog}: no item matches the search of [anchors].")
        return items

    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield the windows of each item, items sorted by id.

        Raises:
            DataError: The catalogue cannot be read, or nothing matches.
        """
        guard = Guard(self.config.allow_hosts)
        for item in self._items:
            try:
                yield from read_windows(item, self.config, guard)
            except DataError as error:
                yield SkippedAnchor(item.id, str(error))

    def identity(self) -> JSON:
        """Return the time of a local catalogue; what a server has changed is not known."""
        path = Path(self.config.catalog)
        return files_identity([path]) if path.is_file() else None
