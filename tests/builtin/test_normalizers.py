from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from laion_eo.builtin.normalizers import NoNormalizer, Percentile, ReflectanceGain
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError
from laion_eo.kinds import Normalizer
from laion_eo.types import Anchor, Picture


def shown(kind: type[Normalizer], pixels: Any, scale: float = 10_000.0, **options: Any) -> Picture:
    normalizer = kind(kind.Config.model_validate(options), Context())
    anchor = Anchor("a", np.asarray(pixels), scale)
    first, second = normalizer.normalize([anchor, anchor])
    assert np.array_equal(first, second)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    return first


def by_the_paper(digital_numbers: NDArray[Any]) -> Picture:
    """Section 2.1 as it is written, in numpy alone, for (3, height, width) of L2A."""
    x = digital_numbers.astype(float) / 10_000
    if x.mean() < 0.25:
        x *= min(0.5 / x.mean(), 8)
    eight_bits: Picture = np.rint(np.moveaxis(x, 0, -1).clip(0, 1) * 255).astype(np.uint8)
    return eight_bits


@pytest.mark.parametrize("brightest", [50, 300, 1200, 2500, 4900, 5200, 9000, 25_000])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_reflectance_gain_is_the_papers(brightest: int, dtype: type) -> None:
    rng = np.random.default_rng(brightest)
    pixels: NDArray[Any] = rng.integers(0, brightest, (3, 40, 50)).astype(dtype)
    assert np.array_equal(shown(ReflectanceGain, pixels), by_the_paper(pixels))


def test_a_mean_of_exactly_a_quarter_is_not_dark() -> None:
    # 0.2 and 0.3 have no exact binary value: their mean must be a quarter all the same.
    pixels = np.resize(np.array([2000, 3000, 1000, 4000], np.uint16), (3, 20, 22))
    assert np.unique(shown(ReflectanceGain, pixels)).tolist() == [26, 51, 76, 102]
    pixels[0, 0, 0] -= 1
    assert shown(ReflectanceGain, pixels)[0, 2, 0] == round(0.1 * 0.5 / 0.25 * 255)


def test_the_gain_is_at_most_8() -> None:
    assert (shown(ReflectanceGain, np.full((3, 2, 2), 625)) == 128).all()
    assert (shown(ReflectanceGain, np.full((3, 2, 2), 500)) == round(0.05 * 8 * 255)).all()


def test_the_gain_is_one_for_all_bands() -> None:
    pixels = np.stack([np.full((4, 4), value) for value in (1700, 1300, 1800)])
    gain = 0.5 / 0.16
    wanted = [round(value * gain * 255) for value in (0.17, 0.13, 0.18)]
    assert shown(ReflectanceGain, pixels)[0, 0].tolist() == wanted


def test_nothing_stays_black_and_too_much_white() -> None:
    assert (shown(ReflectanceGain, np.zeros((3, 4, 4), np.uint16)) == 0).all()
    assert (shown(ReflectanceGain, np.full((3, 4, 4), 18_000, np.uint16)) == 255).all()


def test_values_above_1_count_in_the_mean_unclipped() -> None:
    # Clipped first, the mean would be 0.1 and the gain 5.
    pixels = np.zeros((3, 10, 10))
    pixels[:, 0] = 30_000
    pixels[:, 1] = 1020
    assert (shown(ReflectanceGain, pixels)[1] == 26).all()


def test_negative_reflectance_is_black_and_no_trap() -> None:
    pixels = np.full((3, 4, 4), -1000, np.int16)
    assert (shown(ReflectanceGain, pixels) == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [ReflectanceGain, Percentile, NoNormalizer])
def test_what_is_no_number_is_black(kind: type[Normalizer], value: float) -> None:
    pixels = np.full((3, 4, 4), 0.6)
    pixels[:, 0, 0] = value
    picture = shown(kind, pixels, scale=1)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert (picture[1:] > 100).all()


def test_options_move_the_papers_numbers() -> None:
    pixels = np.full((3, 2, 2), 1200)
    assert (shown(ReflectanceGain, pixels, dark_below=0.05) == round(0.12 * 255)).all()
    assert (shown(ReflectanceGain, pixels, target_mean=0.2) == round(0.2 * 255)).all()
    assert (shown(ReflectanceGain, pixels, max_gain=2) == round(0.24 * 255)).all()


def test_one_band_is_shown_as_grey() -> None:
    picture = shown(NoNormalizer, np.arange(256, dtype=np.uint8).reshape(1, 16, 16), 255)
    assert picture.shape == (16, 16, 3)
    assert picture[..., 1].ravel().tolist() == list(range(256))
    assert (picture[..., 0] == picture[..., 2]).all()


def test_none_shows_a_picture_as_it_is() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 9, 7), dtype=np.uint8)
    assert np.array_equal(shown(NoNormalizer, pixels, 255), np.moveaxis(pixels, 0, -1))


def test_percentile_stretches_each_band() -> None:
    ramp = np.linspace(1000, 3000, 101).reshape(1, 1, 101)
    picture = shown(Percentile, np.concatenate([ramp, ramp * 2, ramp[..., ::-1]]))
    for band in (0, 1):
        values = picture[0, :, band].astype(int)
        assert values[:3].tolist() == [0, 0, 0]
        assert values[-3:].tolist() == [255, 255, 255]
        assert values[50] == pytest.approx(127.5, abs=1)
    assert np.array_equal(picture[..., 0], picture[:, ::-1, 2])


def test_percentile_leaves_a_band_without_contrast() -> None:
    assert (shown(Percentile, np.full((3, 5, 5), 5000)) == 128).all()


def test_percentiles_out_of_order_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"low .* must be below high"):
        validate(Percentile.Config, {"low": 60, "high": 40}, "run.toml: [normalizer]")


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 4, 4), (4, 4)])
def test_other_numbers_of_bands_name_the_anchor(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"anchor 'a'.*1 or 3 bands"):
        shown(NoNormalizer, np.zeros(shape))


SHAPES = st.tuples(st.sampled_from([1, 3]), array_shapes(min_dims=2, max_dims=2, max_side=6)).map(
    lambda found: (found[0], *found[1])
)
PIXELS = st.sampled_from([np.uint8, np.uint16, np.int16, np.float16, np.float32]).flatmap(
    lambda dtype: arrays(dtype, SHAPES)
)


@pytest.mark.parametrize("kind", [ReflectanceGain, Percentile, NoNormalizer])
@given(pixels=PIXELS, scale=st.sampled_from([1.0, 255.0, 10_000.0]))
def test_any_numbers_become_a_picture(
    kind: type[Normalizer], pixels: NDArray[Any], scale: float
) -> None:
    picture = shown(kind, pixels.copy(), scale)
    assert picture.shape == (*pixels.shape[1:], 3)
    if pixels.shape[0] == 1:
        assert (np.ptp(picture.astype(int), axis=2) == 0).all()
