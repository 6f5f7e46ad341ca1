"""Whether an image file is complete, and whether it is animated: from its structure, undecoded.

Each reader walks the parts of one format. ``complete`` is True where the format's end was reached.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_PARTS = 500_000
"""A file of more parts is not walked to its end: it counts as truncated."""
_JPEG_START_OF_SCAN = 0xDA
_JPEG_END = b"\xff\xd9"
_JPEG_ALONE = (0x01, *range(0xD0, 0xD9))


@dataclass(frozen=True, slots=True)
class Structure:
    """What the walk found: whether the file's end is there, and whether it has further frames."""

    complete: bool
    animated: bool = False


def read_structure(kind: str, content: bytes) -> Structure:
    """Walk the parts of a file.

    Args:
        kind: Its format, as :func:`~laion_eo.builtin.downloaders.http.inspection.sniff` names it.
        content: The file, as far as it came.
    """
    reader = _READERS.get(kind)
    if reader is None:
        return Structure(complete=True)
    try:
        return reader(content)
    except (IndexError, struct.error):  # the header of a part is truncated
        return Structure(complete=False)


def _jpeg(content: bytes) -> Structure:
    offset = 2
    for _ in range(MAX_PARTS):
        offset = content.find(b"\xff", offset)  # decoders skip what is between segments, too
        if offset < 0:
            break
        marker = content[offset + 1]
        if marker == 0xFF:
            offset += 1
        elif marker in _JPEG_ALONE:
            offset += 2
        else:
            offset += 2 + struct.unpack_from(">H", content, offset + 2)[0]
        if marker == _JPEG_START_OF_SCAN:
            # Within a scan, FF is followed by 00 or a restart marker, so an FF D9 behind its start
            # can only be the end. A thumbnail in the metadata has an end of its own, before the
            # scan. Sought from behind, where it is: that is a hundred times faster.
            return Structure(complete=content.rfind(_JPEG_END, offset) >= 0)
    return Structure(complete=False)


def _png(content: bytes) -> Structure:
    offset, animated = 8, False
    for _ in range(MAX_PARTS):
        length, name = struct.unpack_from(">I4s", content, offset)
        offset += 12 + length
        animated = animated or name == b"acTL"
        if name == b"IEND" or offset > len(content):
            return Structure(offset <= len(content), animated)
    return Structure(complete=False)


def _gif(content: bytes) -> Structure:
    offset, frames, parts = 13 + _colours(content[10]), 0, 0
    while parts < MAX_PARTS:
        kind = content[offset]
        if kind == 0x3B:
            return Structure(complete=True, animated=frames > 1)
        if kind == 0x2C:
            frames += 1
            offset += 11 + _colours(content[offset + 9])
        elif kind == 0x21:
            offset += 2
        else:
            # Padding where the trailer should be.
            return Structure(complete=frames > 0, animated=frames > 1)
        while (size := content[offset]) and parts < MAX_PARTS:
            offset += size + 1
            parts += 1
        offset += 1
        parts += 1
    return Structure(complete=False)


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> Structure:
    length = struct.unpack_from("<I", content, 4)[0]
    animated = content[12:16] == b"VP8X" and bool(content[20] & 2)
    return Structure(8 + length <= len(content), animated)


def _avif(content: bytes) -> Structure:
    offset, animated = 0, content[8:12] == b"avis"
    for _ in range(MAX_PARTS):
        if offset >= len(content):
            break
        length = struct.unpack_from(">I", content, offset)[0]
        if length == 1:
            length = struct.unpack_from(">Q", content, offset + 8)[0]
        if length == 0:  # up to the end of the file
            return Structure(complete=True, animated=animated)
        offset += max(length, 8)
    return Structure(offset == len(content), animated)


def _tiff(content: bytes) -> Structure:
    order = "<" if content[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", content, 2)[0] != 42:
        return Structure(complete=True)  # BigTIFF: left to the decoder
    offset = struct.unpack_from(f"{order}I", content, 4)[0]
    tags = {}
    for number in range(struct.unpack_from(f"{order}H", content, offset)[0]):
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, offset + 2 + 12 * number)
        tags[tag] = (kind, count, offset + 10 + 12 * number)
    for starts, lengths in ((273, 279), (324, 325)):  # strips, tiles
        if starts in tags and lengths in tags:
            pairs = zip(
                _tiff_numbers(content, order, *tags[starts]),
                _tiff_numbers(content, order, *tags[lengths]),
                strict=False,
            )
            return Structure(max((a + b for a, b in pairs), default=0) <= len(content))
    return Structure(complete=True)


def _tiff_numbers(
    content: bytes, order: str, kind: int, count: int, offset: int
) -> tuple[int, ...]:
    letter, size = ("H", 2) if kind == 3 else ("I", 4)
    if size * count > 4:
        offset = struct.unpack_from(f"{order}I", content, offset)[0]
    if offset + size * count > len(content):
        raise IndexError("truncated table")
    return struct.unpack_from(f"{order}{count}{letter}", content, offset)


_READERS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "AVIF": _avif,
    "TIFF": _tiff,
}
