from __future__ import annotations

import pytest
from fakes.hostile_files import animation, encoded, smooth, variants
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.builtin.downloaders.http.structure import Structure, read_structure
from laion_eo.images import FORMATS

KINDS = [kind for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF") if kind in FORMATS]
SETTINGS = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize("kind", KINDS)
def test_complete_files_are_complete_and_truncated_ones_are_not(kind: str) -> None:
    for content in variants(kind):
        assert read_structure(kind, content) == Structure(complete=True)
        for share in (0.1, 0.5, 0.9, 0.99):
            truncated = content[: int(len(content) * share)]
            assert not read_structure(kind, truncated).complete, (len(content), share)


@SETTINGS
@given(st.sampled_from(KINDS), st.binary(max_size=400))
def test_random_bytes_break_no_reader(kind: str, content: bytes) -> None:
    assert isinstance(read_structure(kind, content), Structure)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_recognised(kind: str) -> None:
    assert read_structure(kind, animation(kind)).animated


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_bytes_behind_the_end_do_not_matter(kind: str) -> None:
    assert read_structure(kind, encoded(smooth(), kind) + b"trailer" * 100).complete


def test_a_format_without_a_reader_is_left_to_the_decoder() -> None:
    assert read_structure("BMP", b"").complete


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("JPEG", b"\xff\xd8" + b"\xff\xd0" * 4_000_000),
        ("JPEG", b"\xff\xd8" + bytes(8_000_000)),
        ("JPEG", b"\xff\xd8\xff\xda\x00\x02" + b"\xff" * 8_000_000),
        ("PNG", b"\x89PNG\r\n\x1a\n" + bytes(12 * 1_000_000)),
        ("GIF", b"GIF89a" + bytes(7) + b"\x21\x00" + b"\x01\x00" * 4_000_000),
        ("AVIF", b"\0\0\0\x08ftypavif" + b"\0\0\0\x08free" * 1_000_000),
    ],
    ids=["jpeg-markers", "jpeg-nothing", "jpeg-scan", "png", "gif", "avif"],
)
def test_a_file_of_endless_parts_is_given_up(kind: str, content: bytes) -> None:
    assert not read_structure(kind, content).complete
