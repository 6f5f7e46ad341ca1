"""The suite of anchor sources."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from laion_eo.kinds import AnchorSource
from laion_eo.kinds.contract import check_anchor
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.types import Anchor, SkippedAnchor

FIRST = 64
"""Samples that are read: a source may have thousands."""


def _taken(source: AnchorSource, limit: int = FIRST) -> list[Anchor | SkippedAnchor]:
    return [sample for _, sample in zip(range(limit), source.anchors(), strict=False)]


class AnchorSourceTests(ComponentTests):
    """Tests of an :class:`~laion_eo.kinds.AnchorSource`; its options must give some anchors."""

    def test_there_are_anchors(self, component: AnchorSource) -> None:
        """The source has at least one sample that can be read."""
        assert any(isinstance(sample, Anchor) for sample in _taken(component))

    def test_each_anchor_is_complete(self, component: AnchorSource) -> None:
        """Pixels (bands, height, width) or a text, scale above 0, place in degrees, time in UTC."""
        for sample in _taken(component):
            check_anchor(component, sample)

    def test_ids_are_distinct(self, component: AnchorSource) -> None:
        """No two samples have one id, and none is empty."""
        ids = [sample.id for sample in _taken(component)]
        assert len(set(ids)) == len(ids)
        assert all(ids)

    def test_the_order_never_changes(self, component: AnchorSource) -> None:
        """Read again, the same samples come in the same order with the same pixels."""
        for first, second in zip(_taken(component), _taken(component), strict=True):
            assert _comparable(first) == _comparable(second)
            if isinstance(first, Anchor) and isinstance(second, Anchor):
                assert (first.pixels is None) == (second.pixels is None)
                if first.pixels is not None:
                    np.testing.assert_array_equal(first.pixels, second.pixels)

    def test_the_anchors_are_lazy(self, component: AnchorSource) -> None:
        """``anchors`` is an iterator, which can be left after its first sample."""
        samples = component.anchors()
        assert iter(samples) is samples
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            next(samples)
            del samples

    def test_the_count_is_right(self, component: AnchorSource) -> None:
        """``count`` is the number of samples, the skipped ones among them, or ``None``."""
        count = component.count()
        if count is not None:
            assert count == sum(1 for _ in component.anchors())

    def test_dark_and_bright_are_in_scale(self, component: AnchorSource) -> None:
        """Pixels divided by their scale are about 0..1: a scale of the wrong order is found."""
        for sample in _taken(component):
            if isinstance(sample, Anchor) and sample.pixels is not None:
                middle = float(np.nanmedian(sample.pixels)) / sample.scale
                assert -0.5 <= middle <= 2.0, sample.id


def _comparable(sample: Anchor | SkippedAnchor) -> dict[str, object]:
    names = [field.name for field in dataclasses.fields(sample) if field.name != "pixels"]
    return {name: getattr(sample, name) for name in names}
