"""Whether an image file is whole, and whether it moves: from its structure, nothing decoded.

Each reader walks the parts of one format. ``whole`` is True where the format's end was reached.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_PARTS = 500_000
"""A file of more parts is not walked to its end: it counts as cut."""
_JPEG_START_OF_SCAN = 0xDA
_JPEG_END = b"\xff\xd9"
_JPEG_ALONE = (0x01, *range(0xD0, 0xD9))


@dataclass(frozen=True, slots=True)
class Structure:
    """What the walk found: whether the file's end is there, and whether it has further frames."""

    whole: bool
    animated: bool = False


def read_structure(kind: str, content: bytes) -> Structure:
    """Walk a file of a format that :func:`laion_eo.builtin.downloaders.http.sniffing.sniff` named.

    Args:
        kind: The format.
        content: The whole file, as far as it came.
    """
    reader = _READERS.get(kind)
    if reader is None:
        return Structure(whole=True)
    try:
        return reader(content)
    except (IndexError, struct.error):  # a part's header is cut
        return Structure(whole=False)


def _jpeg(content: bytes) -> Structure:
    place = 2
    for _ in range(MAX_PARTS):
        place = content.find(b"\xff", place)  # decoders skip what is between segments, too
        if place < 0:
            break
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _JPEG_ALONE:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
        if marker == _JPEG_START_OF_SCAN:
            # Within a scan, FF is always followed by 00, so the next FF D9 is the end. A thumbnail
            # in the metadata has an end of its own, before the scan.
            return Structure(whole=content.find(_JPEG_END, place) >= 0)
    return Structure(whole=False)


def _png(content: bytes) -> Structure:
    place, animated = 8, False
    for _ in range(MAX_PARTS):
        length, name = struct.unpack_from(">I4s", content, place)
        place += 12 + length
        animated = animated or name == b"acTL"
        if name == b"IEND" or place > len(content):
            return Structure(place <= len(content), animated)
    return Structure(whole=False)


def _gif(content: bytes) -> Structure:
    place, frames, parts = 13 + _colours(content[10]), 0, 0
    while parts < MAX_PARTS:
        kind = content[place]
        if kind == 0x3B:
            return Structure(whole=True, animated=frames > 1)
        if kind == 0x2C:
            frames += 1
            place += 11 + _colours(content[place + 9])
        elif kind == 0x21:
            place += 2
        else:
            return Structure(
                whole=frames > 0, animated=frames > 1
            )  # padding in the trailer's place
        while (size := content[place]) and parts < MAX_PARTS:
            place += size + 1
            parts += 1
        place += 1
        parts += 1
    return Structure(whole=False)


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> Structure:
    length = struct.unpack_from("<I", content, 4)[0]
    animated = content[12:16] == b"VP8X" and bool(content[20] & 2)
    return Structure(8 + length <= len(content), animated)


def _avif(content: bytes) -> Structure:
    place, animated = 0, content[8:12] == b"avis"
    for _ in range(MAX_PARTS):
        if place >= len(content):
            break
        length = struct.unpack_from(">I", content, place)[0]
        if length == 1:
            length = struct.unpack_from(">Q", content, place + 8)[0]
        if length == 0:  # up to the end of the file
            return Structure(whole=True, animated=animated)
        place += max(length, 8)
    return Structure(place == len(content), animated)


def _tiff(content: bytes) -> Structure:
    order = "<" if content[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", content, 2)[0] != 42:
        return Structure(whole=True)  # BigTIFF: left to the decoder
    place = struct.unpack_from(f"{order}I", content, 4)[0]
    tags = {}
    for number in range(struct.unpack_from(f"{order}H", content, place)[0]):
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, place + 2 + 12 * number)
        tags[tag] = (kind, count, place + 10 + 12 * number)
    for starts, lengths in ((273, 279), (324, 325)):  # strips, tiles
        if starts in tags and lengths in tags:
            pairs = zip(
                _tiff_numbers(content, order, *tags[starts]),
                _tiff_numbers(content, order, *tags[lengths]),
                strict=False,
            )
            return Structure(max((a + b for a, b in pairs), default=0) <= len(content))
    return Structure(whole=True)


def _tiff_numbers(content: bytes, order: str, kind: int, count: int, place: int) -> tuple[int, ...]:
    letter, size = ("H", 2) if kind == 3 else ("I", 4)
    if size * count > 4:
        place = struct.unpack_from(f"{order}I", content, place)[0]
    if place + size * count > len(content):
        raise IndexError("cut table")
    return struct.unpack_from(f"{order}{count}{letter}", content, place)


_READERS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "AVIF": _avif,
    "TIFF": _tiff,
}
