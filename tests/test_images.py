from __future__ import annotations

import io
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from fakes.odd_pictures import encoded, png_bomb
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from laion_eo.images import FORMATS, ImageError, decode_image, inspect_image, read_image, silenced
from laion_eo.types import DownloadStatus, Picture

ORIENTATION = 0x0112
AVIF = pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow has no AVIF")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return exif


def quadrants(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green, blue and white quarters: every turn and mirror image of it is another."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(pixels)


def same(picture: Picture, image: Image.Image) -> bool:
    return np.array_equal(picture, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_format_and_size_are_read(kind: str) -> None:
    content = encoded(kind, (60, 40))
    info = inspect_image(content)
    assert (info.format, info.width, info.height) == (kind, 60, 40)
    assert decode_image(content).shape == (40, 60, 3)
    assert decode_image(content).dtype == np.uint8


@AVIF
def test_avif_is_read() -> None:
    content = saved(quadrants(64, 64), "AVIF", quality=95)
    assert inspect_image(content).format == "AVIF"
    assert np.median(abs(decode_image(content) - np.asarray(quadrants(64, 64), dtype=int))) <= 8


def test_lossless_pixels_are_exact() -> None:
    content = encoded("PNG")
    assert same(decode_image(content), Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_turns_size_and_pixels(kind: str, number: int) -> None:
    content = saved(quadrants(), kind, exif=oriented(number))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    info = inspect_image(content)
    assert (info.width, info.height) == upright.size
    assert (upright.size == (32, 48)) == (number >= 5)
    assert same(decode_image(content), upright)


def test_exif_orientation_of_a_jpeg() -> None:
    content = saved(quadrants(), "JPEG", exif=oriented(6), quality=95)
    info = inspect_image(content)
    assert (info.width, info.height) == (32, 48)
    # Turned clockwise by a quarter, what was at the bottom left (blue) is at the top left.
    assert decode_image(content)[4, 4].tolist() == pytest.approx([0, 0, 255], abs=8)


def test_damaged_exif_means_upright() -> None:
    content = bytearray(saved(quadrants(), "JPEG", exif=oriented(6)))
    at = content.index(b"Exif\0\0") + 6
    content[at : at + 8] = b"MM\x00\x2a\xff\xff\xff\xff"
    info = inspect_image(bytes(content))
    assert (info.width, info.height) == (48, 32)
    assert decode_image(bytes(content)).shape == (32, 48, 3)


def test_cmyk_jpeg_shows_its_colours() -> None:
    content = saved(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95)
    assert decode_image(content)[10, 10].tolist() == pytest.approx([255, 0, 0], abs=10)


def test_multi_picture_jpeg_is_a_jpg() -> None:
    content = saved(quadrants(), "MPO", save_all=True, append_images=[quadrants()], quality=95)
    assert inspect_image(content).extension == "jpg"
    assert decode_image(content)[4, 4].tolist() == pytest.approx([255, 0, 0], abs=8)


def test_16_bit_grey_uses_the_whole_range() -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    picture = decode_image(saved(Image.fromarray(values), "PNG"))
    assert picture[..., 0].ravel().tolist() == list(range(256))
    assert (picture[..., 0] == picture[..., 2]).all()


def test_float_picture_ignores_what_is_not_a_number() -> None:
    values = np.array([[0.0, 0.5], [np.nan, np.inf]], np.float32)
    picture = decode_image(saved(Image.fromarray(values), "TIFF"))
    assert picture[..., 0].tolist() == [[0, 127], [0, 0]]


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    picture = decode_image(saved(image, "PNG"))
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[0, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
def test_transparent_palette_entry_is_white(transparency: int | bytes) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (4, 0, 8, 8))
    picture = decode_image(saved(image, "PNG", transparency=transparency))
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[0, 7].tolist() == [200, 100, 50]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert getattr(Image.open(io.BytesIO(content)), "n_frames") == 2  # noqa: B009 - not in the base
    assert decode_image(content)[8, 8].tolist() == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_picture_has_a_size_but_no_pixels(kind: str) -> None:
    content = encoded(kind, (200, 200))
    cut = content[: len(content) // 2]
    assert (inspect_image(cut).width, inspect_image(cut).height) == (200, 200)
    with pytest.raises(ImageError, match=f"damaged {kind}: .*truncated") as error:
        decode_image(cut)
    assert error.value.status == DownloadStatus.NOT_AN_IMAGE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes"),
        (b"<!DOCTYPE html><p>gone", "begins with '<!DOCTYPE html><'"),
        (b"just some text\n", r"begins with 'just some text\n'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no known image format"),
        (b"GIF89a", "no known image format"),
    ],
)
def test_what_is_no_picture_says_how_it_begins(content: bytes, says: str) -> None:
    for read in (inspect_image, decode_image):
        with pytest.raises(ImageError) as error:
            read(content)
        assert error.value.status == DownloadStatus.NOT_AN_IMAGE
        assert says in str(error.value)
        assert "\n" not in str(error.value)


def test_bomb_is_refused_by_its_header() -> None:
    bomb = png_bomb()
    assert len(bomb) < 200
    for read in (inspect_image, decode_image):
        with pytest.raises(ImageError) as error:
            read(bomb)
        assert error.value.status == DownloadStatus.TOO_MANY_PIXELS


def test_pixel_limit_is_inclusive_and_says_the_size() -> None:
    content = encoded("PNG", (60, 40))
    assert inspect_image(content, max_pixels=2400).width == 60
    with pytest.raises(ImageError, match="60 x 40 pixels, more than 2399"):
        inspect_image(content, max_pixels=2399)


def test_inspecting_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded("PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    assert inspect_image(content).width == 60


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "I;16", "CMYK", "1"])
def test_long_sides_are_scaled_down(mode: str) -> None:
    image = (
        Image.fromarray(np.full((50, 200), 65535, np.uint16))
        if mode == "I;16"
        else Image.new("RGB", (200, 50), "white").convert(mode)
    )
    picture = decode_image(saved(image, "TIFF"), max_side=100)
    assert picture.shape == (25, 100, 3)
    assert picture.min() >= 250


def test_silence_lasts_until_the_last_is_out_and_no_longer() -> None:
    """Threads leave in any order, not the one of a stack."""
    logger = logging.getLogger("PIL")
    filters, level = list(warnings.filters), logger.level
    one, other = ExitStack(), ExitStack()
    one.enter_context(silenced)
    other.enter_context(silenced)
    one.close()
    warnings.warn_explicit("odd", UserWarning, "Image.py", 1, "PIL.Image")
    assert not logger.isEnabledFor(logging.ERROR)
    other.close()
    assert (list(warnings.filters), logger.level) == (filters, level)
    with pytest.warns(UserWarning, match="loud again"):
        warnings.warn_explicit("loud again", UserWarning, "Image.py", 1, "PIL.Image")


def test_threads_that_decode_leave_warnings_as_they_were() -> None:
    filters = list(warnings.filters)
    content = encoded("TIFF")
    with ThreadPoolExecutor(8) as pool:
        assert all(info.width == 60 for info in pool.map(inspect_image, [content] * 400))
    assert list(warnings.filters) == filters


def test_other_libraries_are_heard_while_one_is_silenced() -> None:
    with silenced, pytest.warns(UserWarning, match="not of a picture"):
        warnings.warn_explicit("not of a picture", UserWarning, "x.py", 1, "numpy.x")


def test_read_image_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("PNG"))
    assert read_image(tmp_path / "a.jpg").shape == (40, 60, 3)


SMALL = {kind: encoded(kind, (30, 20)) for kind in FORMATS}


@settings(deadline=None, derandomize=True)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from(FORMATS).flatmap(
            lambda kind: st.tuples(st.just(SMALL[kind][:12]), st.binary(max_size=200)).map(b"".join)
        ),
        st.sampled_from(FORMATS).flatmap(
            lambda kind: st.integers(0, len(SMALL[kind])).map(lambda size: SMALL[kind][:size])
        ),
    )
)
def test_any_bytes_are_a_picture_or_an_image_error(content: bytes) -> None:
    for read in (inspect_image, decode_image):
        with suppress(ImageError):
            read(content)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_of_any_kind_is_an_image_error(
    kind: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(7)
    sound = encoded(kind, (30, 20))
    refused = 0
    with caplog.at_level(logging.DEBUG):
        for attempt in range(150):
            damaged = bytearray(sound)
            for place in rng.integers(0, min(len(sound), 300), 4):
                damaged[place] = rng.integers(0, 256)
            content = bytes(damaged[: len(sound) if attempt % 2 else rng.integers(len(sound))])
            for read in (inspect_image, decode_image):
                try:
                    read(content)
                except ImageError:
                    refused += 1
    assert refused > 50
    assert not caplog.records
