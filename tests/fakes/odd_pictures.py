"""Bytes of pictures as third parties make them, for tests of what reads them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def encoded(kind: str, size: tuple[int, int] = (60, 40), seed: int = 0, **options: Any) -> bytes:
    """Return a noisy RGB picture as a file.

    Args:
        kind: Pillow's name of the format, such as ``"JPEG"``.
        size: Width and height in pixels.
        seed: Of the noise.
        options: Passed to Pillow: ``quality``, ``exif``, …
    """
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """Return a PNG of about 100 bytes whose header promises a huge picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
