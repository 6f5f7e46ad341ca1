"""Normalizers: from reflectance to pictures that look like those of the web."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from laion_eo.component import ComponentConfig
from laion_eo.errors import DataError
from laion_eo.kinds import Normalizer
from laion_eo.types import Anchor, Picture


class _PerImage(Normalizer):
    """A normalizer that treats each anchor on its own, as floats."""

    def normalize(self, anchors: Sequence[Anchor]) -> list[Picture]:
        """Turn each anchor into uint8 RGB, (height, width, 3).

        Args:
            anchors: Image anchors of one band or three.

        Raises:
            DataError: An anchor has another number of bands.
        """
        return [_picture(self._stretch(_values(anchor), anchor.scale)) for anchor in anchors]

    @abstractmethod
    def _stretch(self, values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        """Map (bands, height, width), nominally 0..``scale``, to brightness, nominally 0..1."""


class ReflectanceGain(_PerImage):
    """The paper's normalisation (section 2.1): a gain for images that are too dark.

    The mean is taken over all bands together, before values above 1 are clipped. The paper does not
    specify this, nor how 0..1 becomes 8 bits (here: times 255, rounded).
    """

    name = "reflectance-gain"
    summary = "reflectance with a gain for dark images, as in the paper"

    class Config(ComponentConfig):
        """Options; the defaults are the paper's.

        Attributes:
            dark_below: Mean reflectance below which an image gets a gain.
            target_mean: Mean reflectance after the gain.
            max_gain: The largest gain.
        """

        dark_below: float = Field(default=0.25, ge=0, le=1)
        target_mean: float = Field(default=0.5, gt=0, le=1)
        max_gain: float = Field(default=8.0, ge=1)

    config: Config

    def _stretch(self, values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        # Before the division: a sum of integers is exact, and so is the comparison below.
        mean = float(values.mean()) / scale
        reflectance = values / scale
        if mean >= self.config.dark_below:
            return reflectance
        gain = self.config.target_mean / mean if mean > 0 else self.config.max_gain
        return reflectance * min(gain, self.config.max_gain)


class Percentile(_PerImage):
    """The usual stretch of Earth observation: each band between two of its percentiles."""

    name = "percentile"
    summary = "each band stretched between two percentiles"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            low: Percentile that becomes black.
            high: Percentile that becomes white.
        """

        low: float = Field(default=2.0, ge=0, le=100)
        high: float = Field(default=98.0, ge=0, le=100)

        @model_validator(mode="after")
        def _ordered(self) -> Percentile.Config:
            if self.low >= self.high:
                raise ValueError(f"low ({self.low}) must be below high ({self.high})")
            return self

    config: Config

    def _stretch(self, values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        bounds = np.percentile(values, [self.config.low, self.config.high], axis=(1, 2))
        low, high = bounds[:, :, None, None]
        # A band of one value has no contrast to stretch, and stays as it is.
        contrast = np.where(high > low, high - low, 1.0)
        return np.where(high > low, (values - low) / contrast, values / scale)


class NoNormalizer(_PerImage):
    """No normalisation: 0..1 becomes 0..255, for anchors that are pictures already."""

    name = "none"
    summary = "values as they are, for anchors that are pictures already"

    def _stretch(self, values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        return values / scale


def _values(anchor: Anchor) -> NDArray[np.float64]:
    pixels: NDArray[Any] | None = anchor.pixels
    if pixels is None or pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        shape = None if pixels is None else pixels.shape
        raise DataError(
            f"anchor {anchor.id!r}: (1 or 3 bands, height, width) expected, got {shape}"
        )
    return np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _picture(values: NDArray[np.float64]) -> Picture:
    shown = np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(shown, (3, *shown.shape[1:])).transpose(1, 2, 0))
