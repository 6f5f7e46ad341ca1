from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from laion_eo.builtin.augmenters import Crops, NoAugmenter, Rotations
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError
from laion_eo.kinds import Augmenter
from laion_eo.kinds.contract import check_pictures
from laion_eo.testing import strategies
from laion_eo.types import Picture


@pytest.fixture
def image() -> Picture:
    return np.arange(40 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)


def test_none_is_the_image_alone(image: Picture) -> None:
    assert [id(view) for view in NoAugmenter(NoAugmenter.Config(), Context()).augment(image)] == [
        id(image)
    ]


def test_crops_are_the_image_its_corners_and_its_middle(image: Picture) -> None:
    views = Crops(Crops.Config(), Context()).augment(image)
    wanted = [
        image,
        image[:20, :30],
        image[:20, 30:],
        image[20:, :30],
        image[20:, 30:],
        image[10:30, 15:45],
    ]
    assert len(views) == len(wanted)
    for view, part in zip(views, wanted, strict=True):
        assert np.array_equal(view, part)


def test_crops_show_the_fraction_asked_for(image: Picture) -> None:
    views = Crops(Crops.Config(fraction=0.75), Context()).augment(image)
    assert {view.shape for view in views[1:]} == {(30, 45, 3)}


def test_crops_of_a_single_pixel_have_one(image: Picture) -> None:
    assert {view.shape for view in Crops(Crops.Config(), Context()).augment(image[:1, :1])} == {
        (1, 1, 3)
    }


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_fraction_out_of_range_is_a_config_error(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        validate(Crops.Config, {"fraction": fraction}, "run.toml: [augmenter]")


def test_rotations_turn_by_quarters(image: Picture) -> None:
    views = Rotations(Rotations.Config(), Context()).augment(image)
    assert [view.shape for view in views] == [(40, 60, 3), (60, 40, 3)] * 2
    assert np.array_equal(views[0], image)
    assert np.array_equal(views[1], image.swapaxes(0, 1)[::-1])
    assert np.array_equal(views[2], image[::-1, ::-1])
    assert np.array_equal(views[3], image.swapaxes(0, 1)[:, ::-1])


def test_mirrored_rotations_are_eight_different_views(image: Picture) -> None:
    views = Rotations(Rotations.Config(mirrored=True), Context()).augment(image)
    assert np.array_equal(views[4], image[:, ::-1])
    assert len({(view.shape, view.tobytes()) for view in views}) == 8


@pytest.mark.parametrize("kind", [Crops, Rotations])
def test_views_do_not_share_memory_and_are_ready_for_a_model(
    kind: type[Crops] | type[Rotations], image: Picture
) -> None:
    for view in kind(kind.Config(), Context()).augment(image)[1:]:
        assert view.flags.c_contiguous
        assert view.dtype == np.uint8
        assert not np.shares_memory(view, image)


@pytest.mark.parametrize("kind", [NoAugmenter, Crops, Rotations])
@given(picture=strategies.pictures())
def test_any_picture_has_views(kind: type[Augmenter], picture: Picture) -> None:
    augmenter = kind(kind.Config(), Context())
    before = picture.copy()
    views = check_pictures(augmenter, augmenter.augment(picture))
    assert np.array_equal(views[0], before)
    assert np.array_equal(picture, before)
    colours = set(map(tuple, before.reshape(-1, 3).tolist()))
    assert all(set(map(tuple, view.reshape(-1, 3).tolist())) <= colours for view in views)
