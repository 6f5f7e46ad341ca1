"""The suites of normalizers and augmenters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laion_eo.kinds import Augmenter, Normalizer
from laion_eo.kinds.contract import check_pictures
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.types import Anchor, Picture

SIZES = ((64, 64), (48, 96), (3, 5))


def sample_anchors() -> list[Anchor]:
    """Return anchors of three bands and of one, dark, bright and black, of several sizes.

    uint16 reflectance x 10,000 as Sentinel-2 L2A has it, and 8-bit pictures.
    """
    draw = np.random.default_rng(0)
    anchors = []
    for bands in (3, 1):
        for height, width in SIZES:
            for level in (300, 6_000):
                pixels = draw.integers(level // 2, level * 2, (bands, height, width))
                name = f"{bands}-{height}-{level}"
                anchors.append(Anchor(name, pixels.astype(np.uint16)))
    anchors.append(Anchor("black", np.zeros((3, 32, 32), np.uint16)))
    anchors.append(Anchor("8-bit", draw.integers(0, 256, (3, 32, 32)).astype(np.uint8), 255.0))
    anchors.append(Anchor("holes", np.full((3, 32, 32), np.nan, np.float32), 1.0))
    return anchors


def sample_pictures() -> list[Picture]:
    """Return uint8 RGB pictures of several sizes."""
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*size, 3)).astype(np.uint8) for size in (*SIZES, (256, 300))]


def assert_equal(first: Sequence[Picture], second: Sequence[Picture]) -> None:
    """Fail unless the pictures are the same, pixel by pixel."""
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


class NormalizerTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Normalizer`."""

    def test_each_anchor_becomes_a_picture(self, component: Normalizer) -> None:
        """One uint8 (height, width, 3) per anchor, of the anchor's height and width."""
        anchors = sample_anchors()
        pictures = check_pictures(component, component.normalize(anchors), len(anchors))
        for anchor, picture in zip(anchors, pictures, strict=True):
            assert anchor.pixels is not None
            assert picture.shape[:2] == anchor.pixels.shape[1:], anchor.id

    def test_no_anchors_give_no_pictures(self, component: Normalizer) -> None:
        """An empty batch is no error."""
        assert list(component.normalize([])) == []

    def test_batches_do_not_matter(self, component: Normalizer) -> None:
        """An anchor's picture does not depend on the anchors beside it."""
        anchors = sample_anchors()
        alone = [component.normalize([anchor])[0] for anchor in anchors]
        assert_equal(component.normalize(anchors), alone)

    def test_anchors_are_left_alone(self, component: Normalizer) -> None:
        """The anchors' own pixels are not written to."""
        anchors = sample_anchors()
        component.normalize(anchors)
        for anchor, fresh in zip(anchors, sample_anchors(), strict=True):
            np.testing.assert_array_equal(anchor.pixels, fresh.pixels)

    def test_one_band_is_grey(self, component: Normalizer) -> None:
        """An anchor of one band is shown with equal red, green and blue."""
        grey = [anchor for anchor in sample_anchors() if anchor.id.startswith("1-")]
        for picture in component.normalize(grey):
            assert (np.ptp(picture.astype(int), axis=2) == 0).all()


class AugmenterTests(ComponentTests):
    """Tests of an :class:`~laion_eo.kinds.Augmenter`."""

    def test_views_are_pictures(self, component: Augmenter) -> None:
        """At least one view of every picture, each uint8 (height, width, 3)."""
        for picture in sample_pictures():
            check_pictures(component, component.augment(picture))

    def test_views_never_change(self, component: Augmenter) -> None:
        """The same picture gives the same views each time."""
        for picture in sample_pictures():
            assert_equal(component.augment(picture), component.augment(picture))

    def test_the_picture_is_left_alone(self, component: Augmenter) -> None:
        """The picture itself is not written to."""
        for picture, fresh in zip(sample_pictures(), sample_pictures(), strict=True):
            component.augment(picture)
            np.testing.assert_array_equal(picture, fresh)
