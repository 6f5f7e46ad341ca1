from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes.hostile_files import HEIGHT, WIDTH, animation, encoded, photo, png, variants
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from laion_eo.builtin.downloaders.http.inspection import (
    HEADER,
    SNIFFED,
    Inspection,
    Inspector,
    sniff,
)
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.images import FORMATS, inspect_image
from laion_eo.types import DownloadStatus

KINDS = [kind for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF") if kind in FORMATS]
FILES = [content for kind in KINDS for content in variants(kind)]
SETTINGS = settings(deadline=None, derandomize=True)


def inspector(code: int | None = 200) -> Inspector:
    return Inspector(HttpOptions(), code)


@pytest.mark.parametrize("kind", KINDS)
def test_formats_and_sizes_are_those_of_the_picture(kind: str) -> None:
    for content in variants(kind):
        info = inspect_image(content)
        found = inspector().inspect(content)
        assert found == Inspection(kind, info.width, info.height, animated=False)
        assert sniff(content[:64]) == kind


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_recognised(kind: str) -> None:
    assert inspector().inspect(animation(kind)) == Inspection(kind, 48, 48, animated=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_peeked_at_is_inspected_alike(kind: str) -> None:
    content = encoded(photo(0, (300, 250)), kind)
    alike = []
    for sizes in ((), (SNIFFED,), (SNIFFED, HEADER), (HEADER,)):
        one = inspector()
        for size in sizes:
            one.peek(content[:size])
        alike.append(one.inspect(content))
    assert alike == [Inspection(kind, 300, 250, animated=False)] * 4


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """Return where each call of one of Pillow's functions is noted."""
    module, _, function = name.rpartition(".")
    calls: list[object] = []
    original: Callable[..., object] = getattr(Image, function)

    def call(*args: object, **options: object) -> object:
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(f"{module}.{function}", call)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_pillow_reads_each_header_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [encoded(photo(0, size), kind) for size in ((20, 20), (150, 120), (300, 250))]
    calls = counted(monkeypatch, "PIL.Image.open")
    for number, content in enumerate(contents, 1):
        one = inspector()
        _ = one.peek(content[:SNIFFED]) or one.peek(content[:HEADER])
        one.inspect(content)
        assert len(calls) == number


def test_the_header_alone_decides_about_size() -> None:
    """A peek refuses a bomb and a tracker before their pixels have come."""
    for size, status in (((100_000, 100_000), "too-many-pixels"), ((2, 2), "too-small")):
        head = png(*size)[:64] + bytes(HEADER)
        with pytest.raises(RefusedError) as caught:
            inspector().peek(head)
        assert caught.value.status is DownloadStatus(status)


def test_a_peek_at_a_header_that_is_not_there_yet_refuses_nothing() -> None:
    metadata = (b"\xff\xe1\xff\xff" + bytes(65_533)) * 2
    jpeg = encoded(photo(), "JPEG")
    content = jpeg[:2] + metadata + jpeg[2:]
    one = inspector()
    assert not one.peek(content[:SNIFFED])
    assert one.peek(content[:HEADER])
    assert one.inspect(content) == Inspection("JPEG", WIDTH, HEIGHT, animated=False)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"<!DOCTYPE html>" + bytes(SNIFFED), DownloadStatus.WEB_PAGE),
        (b"\0\0\0\x18ftypheic" + bytes(SNIFFED), DownloadStatus.UNLISTED_FORMAT),
        (b"no image" * 200, DownloadStatus.NOT_AN_IMAGE),
    ],
)
def test_a_peek_refuses_what_begins_wrongly(head: bytes, status: DownloadStatus) -> None:
    with pytest.raises(RefusedError) as caught:
        inspector(206).peek(head)
    assert (caught.value.status, caught.value.code) == (status, 206)


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


def ends_as_documented(content: bytes, peeks: list[int]) -> None:
    """Inspect anything: it is an image, or refused with one line and a status of an image."""
    one = inspector()
    try:
        for size in sorted(peeks):
            one.peek(content[:size])
        found = one.inspect(content)
    except RefusedError as refusal:
        assert refusal.reason
        assert not refusal.status.has_image
        assert not refusal.transient
    else:
        assert found.format in HttpOptions().formats
        assert min(found.width, found.height) >= HttpOptions().min_side


sizes = st.lists(st.integers(1, 2 * HEADER), max_size=3)


@SETTINGS
@given(st.binary(max_size=300), sizes)
def test_random_bytes_end_as_documented(content: bytes, peeks: list[int]) -> None:
    ends_as_documented(content, peeks)


STARTS = [
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"II*\0",
    b"II+\0",
    b"MM\0*",
    b"\0\0\0\x1cftypavif",
]


@SETTINGS
@given(st.sampled_from(STARTS), st.binary(max_size=300), sizes)
def test_random_bytes_behind_a_format_s_first_ones(
    start: bytes, rest: bytes, peeks: list[int]
) -> None:
    ends_as_documented(start + rest, peeks)


@SETTINGS
@given(
    st.sampled_from(FILES),
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(0.0, 0.999), st.integers(0, 255)), max_size=6),
    sizes,
)
def test_truncated_and_damaged_files(
    content: bytes, share: float, edits: list[tuple[float, int]], peeks: list[int]
) -> None:
    damaged = bytearray(content[: int(len(content) * share)])
    for where, value in edits:
        if damaged:
            # Cubed: most of what a header says is near the beginning.
            damaged[int(where**3 * len(damaged))] = value
    ends_as_documented(bytes(damaged), peeks)
