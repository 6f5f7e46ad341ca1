"""Anchor source ``cloudsen12``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from laion_eo.builtin.anchor_sources.cloudsen12.geotiff import GeoTiffTree
from laion_eo.builtin.anchor_sources.cloudsen12.layout import Layout
from laion_eo.builtin.anchor_sources.cloudsen12.memmap import Memmaps
from laion_eo.builtin.anchor_sources.cloudsen12.mlstac import Containers
from laion_eo.builtin.anchor_sources.cloudsen12.selection import Selection
from laion_eo.errors import DataError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import AnchorSource
from laion_eo.types import JSON, Anchor, SkippedAnchor

LAYOUTS: tuple[type[Layout], ...] = (GeoTiffTree, Memmaps, Containers)
GSD = 10.0
"""Metres per pixel: CloudSEN12 resamples all bands to the finest grid."""


class CloudSEN12(AnchorSource):
    """CloudSEN12's patches: by default the cloud-free ones that are the paper's anchors.

    Section 2.1: training subset, high-quality or scribble annotations, cloud-free, level 2A, red,
    green and blue: 3,456 patches. Pixels are left as each layout has them: 509 a side in v1,
    padded with zeros to 512 in the others.
    """

    name = "cloudsen12"
    summary = "CloudSEN12 (v1, v1.1 or +), by default the paper's anchors"

    class Config(Selection):
        """Options.

        Attributes:
            layout: ``geotiff`` (v1), ``memmap`` (v1.1), ``mlstac`` (CloudSEN12+); by default the
                first of these whose metadata are below the root.
        """

        layout: Literal["auto", "geotiff", "memmap", "mlstac"] = "auto"

    config: Config

    @cached_property
    def _layout(self) -> Layout:
        layout = self._found()
        layout.check()
        return layout

    def _found(self) -> Layout:
        layouts = [layout(self.config) for layout in LAYOUTS]
        if self.config.layout != "auto":
            return next(layout for layout in layouts if layout.name == self.config.layout)
        for layout in layouts:
            if layout.metadata:
                return layout
        trees = "; or ".join(layout.tree for layout in layouts)
        split = self.config.split
        raise DataError(f"{self.config.root}: no {split} set of CloudSEN12 here: {trees}.")

    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield the patches in the order of the metadata; each is read when it is yielded.

        Yields:
            Anchors of int16 or uint16 (bands, height, width), reflectance times 10,000.

        Raises:
            DataError: The dataset is missing, or not in the expected layout.
            ConfigError: The layout does not have the wanted level.
        """
        layout = self._layout
        for patch in layout.patches:
            try:
                pixels = layout.read(patch)
            except DataError as error:
                yield SkippedAnchor(patch.id, str(error))
                continue
            yield Anchor(
                patch.id,
                pixels,
                bands=self.config.bands,
                gsd=GSD,
                lon=patch.lon,
                lat=patch.lat,
                acquired=patch.acquired,
            )

    def count(self) -> int:
        """Return the number of wanted patches."""
        return len(self._layout.patches)

    def identity(self) -> JSON:
        """Return the layout, and a hash of its files' names, sizes and modification times."""
        files = [*self._layout.metadata, *self._layout.data_files()]
        return {"layout": self._layout.name, "files": files_identity(files)}
