"""Anchor source ``stac``: windows of the images that a STAC catalogue lists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from laion_eo.errors import DataError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import AnchorSource
from laion_eo.types import JSON, Anchor, SkippedAnchor
from laion_eo_stac.catalog import list_items
from laion_eo_stac.options import StacOptions
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

    class Config(StacOptions):  # noqa: D106 - the options' docstring is inherited
        pass

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
        """Return the modification time of a local catalogue; a server's changes are not noticed."""
        path = Path(self.config.catalog)
        return files_identity([path]) if path.is_file() else None
