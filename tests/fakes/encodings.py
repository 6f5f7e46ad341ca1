"""Real encodings of every format that is opened, and what attackers and bad disks make of them."""

from __future__ import annotations

import io
import random
import struct
import zlib
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, features

from laion_eo.images import FORMATS

KINDS_OF_DAMAGE = (
    "cut", "flips", "head", "lies", "zeroes", "tail", "polyglot", "splice", "whole",
)  # fmt: skip
LIES = (0, 1, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 40_000)


def noise(mode: str, size: tuple[int, int] = (37, 23), seed: int = 0) -> Image.Image:
    """A noisy picture of a mode of Pillow."""
    draw = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(draw.integers(0, 65536, (size[1], size[0]), dtype=np.uint16))
    if mode == "F":
        return Image.fromarray(draw.standard_normal((size[1], size[0])).astype(np.float32))
    rgb = Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    if mode == "RGBA":
        rgb.putalpha(Image.fromarray(draw.integers(0, 256, (size[1], size[0]), dtype=np.uint8)))
        return rgb
    return rgb.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _turned(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@cache
def encodings() -> dict[str, bytes]:
    """One file of every encoding that this Pillow writes, by a name for messages."""
    made = {
        "jpeg": saved(noise("RGB"), "JPEG"),
        "jpeg grey": saved(noise("L"), "JPEG"),
        "jpeg cmyk": saved(noise("CMYK"), "JPEG"),
        "jpeg progressive": saved(noise("RGB"), "JPEG", progressive=True),
        "jpeg turned": saved(noise("RGB"), "JPEG", exif=_turned(6)),
        "mpo": saved(noise("RGB"), "MPO", save_all=True, append_images=[noise("RGB", seed=1)]),
        "gif": saved(noise("P"), "GIF"),
        "gif animated": saved(noise("P"), "GIF", save_all=True, append_images=_frames("P")),
        "apng": saved(noise("RGBA"), "PNG", save_all=True, append_images=_frames("RGBA")),
        "png turned": saved(noise("RGB"), "PNG", exif=_turned(5)),
        "png transparent": saved(noise("P"), "PNG", transparency=bytes(range(256))),
        "png interlaced": _interlaced(),
        "webp": saved(noise("RGB"), "WEBP"),
        "webp lossless": saved(noise("RGBA"), "WEBP", lossless=True),
        "webp animated": saved(noise("RGB"), "WEBP", save_all=True, append_images=_frames("RGB")),
    }
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        made[f"png {mode}"] = saved(noise(mode), "PNG")
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        made[f"bmp {mode}"] = saved(noise(mode), "BMP")
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F"):
        made[f"tiff {mode}"] = saved(noise(mode), "TIFF")
    if features.check("libtiff"):
        for name in ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg", "zstd",
                     "lzma"):  # fmt: skip
            with suppress(OSError):  # a libtiff without it
                made[f"tiff {name}"] = saved(noise("RGB"), "TIFF", compression=name)
        for name in ("group3", "group4", "tiff_ccitt"):
            made[f"tiff {name}"] = saved(noise("1"), "TIFF", compression=name)
        made["tiff big"] = saved(noise("RGB"), "TIFF", compression="tiff_lzw", big_tiff=True)
        frames = _frames("RGB")
        made["tiff pages"] = saved(noise("RGB"), "TIFF", save_all=True, append_images=frames)
    if "AVIF" in FORMATS:
        made["avif"] = saved(noise("RGB"), "AVIF")
        frames = _frames("RGB")
        made["avif animated"] = saved(noise("RGB"), "AVIF", save_all=True, append_images=frames)
    return made


def _frames(mode: str) -> list[Image.Image]:
    return [noise(mode, seed=seed) for seed in (1, 2)]


def _interlaced() -> bytes:
    """A PNG of one pixel's passes: Pillow writes no interlaced ones."""
    size = 8
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2))  # fmt: skip
    lines = b""
    for x, y, across, down in passes:
        width = len(range(x, size, across))
        lines += (b"\0" + bytes(range(3 * width))) * (len(range(y, size, down)) if width else 0)
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The file, truncated, flipped, with a lie, with something after it, or with another's head."""
    data = bytearray(content)
    kind = draw.choice(KINDS_OF_DAMAGE)
    if kind == "cut":
        return content[: draw.randrange(len(content) + 1)]
    if kind in ("flips", "head"):
        reach = min(len(data), 120) if kind == "head" else len(data)
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    elif kind == "lies":  # sizes, offsets and counts, in either order of bytes
        width = draw.choice((2, 4))
        place = draw.randrange(max(1, min(len(data), 400) - width))
        number = draw.choice(LIES) & ((1 << 8 * width) - 1)
        data[place : place + width] = number.to_bytes(width, draw.choice(("little", "big")))
    elif kind == "zeroes":
        start = draw.randrange(len(data))
        stop = min(len(data), start + draw.randrange(1, 64))
        data[start:stop] = bytes(stop - start)
    elif kind == "tail":
        data += draw.randbytes(draw.randrange(1, 200))
    elif kind == "polyglot":
        other = draw.choice(sorted(encodings().values()))
        data += draw.choice(
            (other, b"<!DOCTYPE html><script>alert(1)</script>", b"PK\x05\x06" + bytes(18))
        )
    elif kind == "splice":
        other = draw.choice(sorted(encodings().values()))
        data = bytearray(other[: draw.randrange(4, 40)]) + data[draw.randrange(len(data)) :]
    return bytes(data)
