"""Broken components of any kind, anchor sources, normalizers, augmenters and embedders.

test_suites.py runs these classes in a pytest of their own. ``fails`` names the test that must fail,
and what its failure must say.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from laion_eo.builtin.normalizers import NoNormalizer
from laion_eo.component import ComponentConfig
from laion_eo.errors import ConfigError
from laion_eo.kinds import AnchorSource, Augmenter
from laion_eo.testing import suites
from laion_eo.types import Anchor

# --- any component ------------------------------------------------------------------------------


class Plain(Augmenter):
    name = "plain"
    summary = "the image alone"

    def augment(self, image: Any) -> Any:
        return [image]


class TestShouting(suites.AugmenterTests):
    fails = ("test_the_class_is_complete", "'SHOUTING' is not kebab-case")

    class component_cls(Plain):
        name = "SHOUTING"


class TestUnfinished(suites.AugmenterTests):
    fails = ("test_the_registry_takes_it", "component_cls lacks augment")

    class component_cls(Augmenter):
        name = "unfinished"
        summary = "lacks augment"


class TestLongWinded(suites.AugmenterTests):
    fails = ("test_the_summary_is_one_line", "<= 72")

    class component_cls(Plain):
        summary = "word " * 40


class TestUndocumented(suites.AugmenterTests):
    fails = ("test_every_option_is_documented", "strength:")

    class component_cls(Plain):
        class Config(ComponentConfig):
            """Options."""

            strength: float = 1.0


class TestGrumbles(suites.AugmenterTests):
    fails = ("test_nothing_is_missing", "ConfigError: plain needs nothing, but")

    class component_cls(Plain):
        def check(self) -> None:
            raise ConfigError("plain needs nothing, but says that it does")


class TestTolerant(suites.AugmenterTests):
    fails = ("test_an_unknown_option_is_refused", "DID NOT RAISE")

    class component_cls(Plain):
        class Config(ComponentConfig, extra="ignore"):
            """Options."""


class TestChangeable(suites.AugmenterTests):
    fails = ("test_options_cannot_change", "frozen")

    class component_cls(Plain):
        class Config(ComponentConfig, frozen=False):
            """Options."""


class TestForgetful(suites.AugmenterTests):
    fails = ("test_options_survive_the_run_file", "strength")
    options = {"strength": 0.5}

    class component_cls(Plain):
        class Config(ComponentConfig):
            """Options.

            Attributes:
                strength: How much.
            """

            strength: float = 1.0

            def model_dump_json(self, **_: Any) -> str:
                return "{}"


class TestFickleIdentity(suites.AugmenterTests):
    fails = ("test_building_is_cheap", "==")

    class component_cls(Plain):
        _made = itertools.count()

        def identity(self) -> Any:
            return next(self._made)


class TestFactsOfNothing(suites.AugmenterTests):
    fails = ("test_facts_can_be_written", "keys")

    class component_cls(Plain):
        def facts(self) -> Any:
            return [1, 2]


# --- anchor sources -----------------------------------------------------------------------------


class Anchors(AnchorSource):
    name = "anchors"
    summary = "three anchors"

    def made(self) -> list[Any]:
        pixels = np.full((3, 8, 8), 2000, np.uint16)
        return [Anchor(f"anchor {number}", pixels) for number in range(3)]

    def anchors(self) -> Any:
        yield from self.made()


def with_first(**changes: Any) -> type[Anchors]:
    class Changed(Anchors):
        def made(self) -> Any:
            first, *others = super().made()
            return [replace(first, **changes), *others]

    return Changed


class TestEmpty(suites.AnchorSourceTests):
    fails = ("test_there_are_anchors", "any")

    class component_cls(Anchors):
        def made(self) -> Any:
            return []


class TestFlat(suites.AnchorSourceTests):
    fails = ("test_each_anchor_is_complete", r"numbers of \(bands, height, width\) wanted")
    component_cls = with_first(pixels=np.full((8, 8), 2000, np.uint16))


class TestBoth(suites.AnchorSourceTests):
    fails = ("test_each_anchor_is_complete", "pixels or a text, and not both")
    component_cls = with_first(text="a text")


class TestMetres(suites.AnchorSourceTests):
    fails = ("test_each_anchor_is_complete", "the lat 1234.5, not degrees")
    component_cls = with_first(lat=1234.5)


class TestNoScale(suites.AnchorSourceTests):
    fails = ("test_each_anchor_is_complete", "not above 0")
    component_cls = with_first(scale=-1.0)


class TestLocalTime(suites.AnchorSourceTests):
    fails = ("test_each_anchor_is_complete", "no time in UTC")
    component_cls = with_first(acquired=datetime(2024, 5, 1))


class TestThirdParty(suites.AnchorSourceTests):
    fails = ("test_each_anchor_is_complete", "Anchor or SkippedAnchor wanted, got ndarray")

    class component_cls(Anchors):
        def made(self) -> Any:
            return [np.ones((3, 4, 4))]


class TestWrongScale(suites.AnchorSourceTests):
    fails = ("test_dark_and_bright_are_in_scale", "anchor 0")
    component_cls = with_first(scale=255.0)


class TestSameIds(suites.AnchorSourceTests):
    fails = ("test_ids_are_distinct", "==")
    component_cls = with_first(id="anchor 1")


class TestShuffled(suites.AnchorSourceTests):
    fails = ("test_the_order_never_changes", "anchor")

    class component_cls(Anchors):
        _turn = itertools.count()

        def made(self) -> Any:
            return super().made()[:: (1, -1)[next(self._turn) % 2]]


class TestEager(suites.AnchorSourceTests):
    fails = ("test_the_anchors_are_lazy", "iter")

    class component_cls(Anchors):
        def anchors(self) -> Any:
            return self.made()


class TestMiscounted(suites.AnchorSourceTests):
    fails = ("test_the_count_is_right", "4 == ")

    class component_cls(Anchors):
        def count(self) -> int:
            return 4


# --- normalizers and augmenters -----------------------------------------------------------------


class TestTwoBands(suites.NormalizerTests):
    fails = ("test_each_anchor_becomes_a_picture", r"uint8 \(height, width, 3\) wanted")

    class component_cls(NoNormalizer):
        def normalize(self, anchors: Any) -> Any:
            return [picture[..., :2] for picture in super().normalize(anchors)]


class TestThumbnails(suites.NormalizerTests):
    fails = ("test_each_anchor_becomes_a_picture", r"\(2, 64\) == \(64, 64\)")

    class component_cls(NoNormalizer):
        def normalize(self, anchors: Any) -> Any:
            return [picture[:2] for picture in super().normalize(anchors)]


class TestNotOfNothing(suites.NormalizerTests):
    fails = ("test_no_anchors_give_no_pictures", "IndexError")

    class component_cls(NoNormalizer):
        def normalize(self, anchors: Any) -> Any:
            assert anchors[0]
            return super().normalize(anchors)


class TestStretchesTheBatch(suites.NormalizerTests):
    fails = ("test_batches_do_not_matter", "Arrays are not equal")

    class component_cls(NoNormalizer):
        def normalize(self, anchors: Any) -> Any:
            pictures = super().normalize(anchors)
            return [picture // len(pictures) for picture in pictures]


class TestScribbles(suites.NormalizerTests):
    fails = ("test_anchors_are_left_alone", "Arrays are not equal")

    class component_cls(NoNormalizer):
        def normalize(self, anchors: Any) -> Any:
            for anchor in anchors:
                anchor.pixels[0] = 0
            return super().normalize(anchors)


class TestTinted(suites.NormalizerTests):
    fails = ("test_one_band_is_grey", "ptp")

    class component_cls(NoNormalizer):
        def normalize(self, anchors: Any) -> Any:
            return [
                picture // np.array([1, 2, 3], np.uint8) for picture in super().normalize(anchors)
            ]


class TestNoViews(suites.AugmenterTests):
    fails = ("test_views_are_pictures", "at least 1 pictures wanted, got 0")

    class component_cls(Plain):
        def augment(self, image: Any) -> Any:
            return []


class TestRandomViews(suites.AugmenterTests):
    fails = ("test_views_never_change", "Arrays are not equal")

    class component_cls(Plain):
        def augment(self, image: Any) -> Any:
            return [np.random.default_rng().permutation(image, axis=1)]


class TestPaintsOver(suites.AugmenterTests):
    fails = ("test_the_picture_is_left_alone", "Arrays are not equal")

    class component_cls(Plain):
        def augment(self, image: Any) -> Any:
            image[:2] = 0
            return [image]
