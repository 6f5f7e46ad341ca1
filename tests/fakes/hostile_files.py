"""Files that third-party servers send: sound ones of every kind, damaged ones, and traps."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from laion_eo.types import JSON

WIDTH, HEIGHT = 96, 64
HTML = b"<!DOCTYPE html>\n<html><head><title>Gone</title></head><body>No image here.</body></html>"
SVG = (
    b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300">'
    b"<script>fetch('http://169.254.169.254/')</script></svg>"
)
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
MP4 = struct.pack(">I", 24) + b"ftypisom\0\0\2\0isommp41" + bytes(200)


def photo(seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Return a noisy RGB picture: one that does not compress to nothing.

    Args:
        seed: Each seed its own picture.
        size: (width, height), pixels.
    """
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, kind: str, **options: JSON) -> bytes:
    """Return a picture as the bytes of a file.

    Args:
        image: The picture.
        kind: Pillow's name of the format.
        **options: What Pillow's ``save`` takes.
    """
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def smooth(size: tuple[int, int] = (200, 150)) -> Image.Image:
    """Return a picture that compresses as photographs do."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], -1).astype(np.uint8))


def variants(kind: str) -> list[bytes]:
    """Return files of one format, as different encoders and options write them.

    Args:
        kind: JPEG, PNG, GIF, WEBP, TIFF or AVIF.
    """
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


def rotated_jpeg(orientation: int) -> bytes:
    """Return a JPEG, 96 x 64 as stored, whose EXIF says how to turn it (1 to 8)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), "JPEG", exif=exif)


def jpeg_with_thumbnail() -> bytes:
    """Return a JPEG that carries a complete JPEG in its metadata, as cameras write them."""
    inner = encoded(photo(1, (32, 32)), "JPEG")
    body = b"Exif\0\0" + inner
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    outer = encoded(photo(), "JPEG")
    return outer[:2] + segment + outer[2:]


def animation(kind: str) -> bytes:
    """Return an animation of three frames: GIF, WEBP or PNG."""
    first, *others = (photo(seed, (48, 48)) for seed in range(3))
    return encoded(first, kind, save_all=True, append_images=others, duration=100)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """Return a PNG of one grey bit a pixel, with chunks of the caller's before its end."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def png_bomb() -> bytes:
    """Return a PNG of a few kilobytes that says it has ten thousand million pixels."""
    return png(100_000, 100_000, chunk(b"IDAT", zlib.compress(bytes(2_000_000), 9)))


def png_text_bomb() -> bytes:
    """Return a small PNG whose compressed comment unpacks to 16 MiB."""
    text = b"Comment\0\0" + zlib.compress(bytes(16 * 2**20), 9)
    pixels = zlib.compress(b"".join(b"\0" + bytes(4) for _ in range(32)), 9)
    return png(32, 32, chunk(b"zTXt", text), chunk(b"IDAT", pixels))


def jpeg_bomb() -> bytes:
    """Return a JPEG whose header says 65,500 x 65,500 pixels."""
    content = bytearray(encoded(photo(), "JPEG"))
    frame = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, frame + 5, 65_500, 65_500)
    return bytes(content)


def gzip_bomb(unpacked: int = 2**30) -> bytes:
    """Return a GIF header and zeros, packed a thousand to one; a gzip stream without an end.

    Args:
        unpacked: Bytes that it unpacks to.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"GIF89a" + struct.pack("<HHBBB", 300, 300, 0, 0, 0))
    start += packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block says the same wherever it stands: one is packed, many are sent.
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (unpacked // 2**20)
