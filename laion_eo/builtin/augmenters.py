"""Augmenters: the paper's choice is none."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.kinds import Augmenter
from laion_eo.types import Picture


class NoAugmenter(Augmenter):
    """Each anchor is one query (section 2.2: 100 neighbours for each anchor image)."""

    name = "none"
    summary = "each anchor as it is, as in the paper"

    def augment(self, image: Picture) -> list[Picture]:
        """Return the image alone."""
        return [image]


class Crops(Augmenter):
    """The image, its four corners and its centre: finds images of a part of the scene, too."""

    name = "crops"
    summary = "the image, its four corners and its centre"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            fraction: Side of a crop, as a fraction of the image's.
        """

        fraction: float = Field(default=0.5, gt=0, lt=1)

    config: Config

    def augment(self, image: Picture) -> list[Picture]:
        """Return six views: the image, its corners row by row, its centre.

        Args:
            image: uint8 RGB, (height, width, 3).
        """
        height, width = (max(1, round(side * self.config.fraction)) for side in image.shape[:2])
        below, right = image.shape[0] - height, image.shape[1] - width
        corners = [(0, 0), (0, right), (below, 0), (below, right), (below // 2, right // 2)]
        return [image, *(image[y : y + height, x : x + width].copy() for y, x in corners)]


class Rotations(Augmenter):
    """The image in four rotations: a view from above has no upright, but models expect one."""

    name = "rotations"
    summary = "the image rotated by 0, 90, 180 and 270 degrees"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            mirrored: Add the rotations of the mirror image: eight views.
        """

        mirrored: bool = False

    config: Config

    def augment(self, image: Picture) -> list[Picture]:
        """Return four views or eight, each rotated anticlockwise by another quarter turn.

        Args:
            image: uint8 RGB, (height, width, 3).
        """
        starts = [image, image[:, ::-1]] if self.config.mirrored else [image]
        return [np.ascontiguousarray(np.rot90(start, n)) for start in starts for n in range(4)]
