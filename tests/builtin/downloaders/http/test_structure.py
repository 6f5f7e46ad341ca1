from __future__ import annotations

import numpy as np
import pytest
from fakes.hostile_files import (
    animation,
    encoded,
    jpeg_with_thumbnail,
    photo,
    png,
    rotated_jpeg,
)
from PIL import Image

from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.sniffing import Look, sniff
from laion_eo.builtin.downloaders.http.structure import read_structure
from laion_eo.images import FORMATS
from laion_eo.types import DownloadStatus

KINDS = [
    kind
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF")
    if kind != "AVIF" or "AVIF" in FORMATS
]


def smooth(size: tuple[int, int] = (200, 150)) -> Image.Image:
    """A picture that compresses as photographs do."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], -1).astype(np.uint8))


def variants(kind: str) -> list[bytes]:
    """Files of one format, as different encoders and options write them."""
    images = [photo(), smooth(), smooth().convert("L"), smooth((17, 300))]
    found = [encoded(image, kind) for image in images]
    if kind == "JPEG":
        found += [
            encoded(smooth(), kind, progressive=True, optimize=True),
            jpeg_with_thumbnail(),
            rotated_jpeg(6),
        ]
    if kind == "PNG":
        found += [encoded(smooth().convert("P"), kind), encoded(Image.new("1", (40, 40)), kind)]
    if kind == "TIFF":
        options = ("raw", "tiff_lzw", "tiff_deflate", "jpeg")
        found += [encoded(smooth((900, 900)), kind, compression=name) for name in options]
    if kind == "WEBP":
        found += [encoded(smooth(), kind, lossless=True), encoded(smooth().convert("RGBA"), kind)]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_whole_and_cut_ones_are_not(kind: str) -> None:
    for content in variants(kind):
        assert sniff(content[:64]) == kind
        assert read_structure(kind, content).whole
        assert not read_structure(kind, content).animated
        for share in (0.1, 0.5, 0.9, 0.99):
            cut = content[: int(len(content) * share)]
            assert not read_structure(kind, cut).whole, (len(content), share)


@pytest.mark.parametrize("kind", KINDS)
def test_no_cut_and_no_noise_breaks_a_reader(kind: str) -> None:
    """Anything may come: the readers and the look end with a word, never with another error."""
    rng = np.random.default_rng(3)
    content = variants(kind)[0]
    for _ in range(400):
        damaged = bytearray(content[: rng.integers(1, len(content) + 1)])
        for place in rng.integers(0, len(damaged), 4):
            damaged[place] = rng.integers(0, 256)
        read_structure(kind, bytes(damaged))
        try:
            Look(HttpOptions(), 200).whole(bytes(damaged))
        except RefusedError as refusal:
            assert refusal.reason


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_told(kind: str) -> None:
    assert read_structure(kind, animation(kind)).animated


def test_bytes_behind_the_end_do_not_matter() -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        assert read_structure(kind, encoded(smooth(), kind) + b"trailer" * 100).whole


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("JPEG", b"\xff\xd8" + b"\xff\xd0" * 4_000_000),
        ("JPEG", b"\xff\xd8" + bytes(8_000_000)),
        ("PNG", b"\x89PNG\r\n\x1a\n" + bytes(12 * 1_000_000)),
        ("GIF", b"GIF89a" + bytes(7) + b"\x21\x00" + b"\x01\x00" * 4_000_000),
        ("AVIF", b"\0\0\0\x08ftypavif" + b"\0\0\0\x08free" * 1_000_000),
    ],
    ids=["jpeg-markers", "jpeg-nothing", "png", "gif", "avif"],
)
def test_a_file_of_endless_parts_is_given_up(kind: str, content: bytes) -> None:
    assert not read_structure(kind, content).whole


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0heic", "HEIC"),
        (b"\xef\xbb\xbf  <!doctype HTML>", "HTML"),
        (b"<!-- hi --><svg xmlns=", "SVG"),
        (b"<?xml version='1.0'?><rss>", "HTML"),
        (b"<" * 10, None),
        (b"", None),
    ],
)
def test_sniffing(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


def test_the_header_alone_decides_about_size() -> None:
    """A glance refuses a bomb and a tracker before their pixels have come."""
    for size, status in (((100_000, 100_000), "too-many-pixels"), ((2, 2), "too-small")):
        with pytest.raises(RefusedError) as caught:
            Look(HttpOptions(), 200).glance(png(*size)[:64] + bytes(500))
        assert caught.value.status is DownloadStatus(status)
