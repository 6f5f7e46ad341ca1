"""Looking at image files that strangers made: what they are, and their pixels.

Only the formats of :data:`FORMATS` are opened, sizes are checked before a pixel is decoded, and
metadata is ignored but for the EXIF orientation.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from laion_eo.types import DownloadStatus, Picture

Image.init()
FORMATS: tuple[str, ...] = tuple(
    name for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF") if name in Image.OPEN
)
EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif"}
MAX_PIXELS = 178_956_970
"""Pillow's own limit; the largest images of LAION-EO (section 2.4) stay below it."""
MAX_SIDE = 4096
"""Longer sides are scaled down on decoding, far above what any embedder looks at."""
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
# What Pillow's decoders raise on damaged files, beside its own errors.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
)


class ImageError(Exception):
    """An image cannot be used.

    Attributes:
        status: The download status that says so.
    """

    def __init__(self, status: DownloadStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header of an image says: Pillow's format name, and the size as it is to be seen."""

    format: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """The usual file name extension, without the dot."""
        return EXTENSIONS.get(self.format, self.format.lower())


def inspect_image(content: bytes, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read the header of an image.

    Args:
        content: The whole file.
        max_pixels: Larger images are refused.

    Raises:
        ImageError: Not an image of a known format, or too large.
    """
    with _opened(content, max_pixels) as image:
        width, height = image.size
        if _is_sideways(image):
            width, height = height, width
        return ImageInfo(str(image.format), width, height)


def _is_sideways(image: Image.Image) -> bool:
    # Pillow's PNG would decode every pixel in search of EXIF that follows them.
    if image.format == "PNG" and "exif" not in image.info:
        return False
    try:
        return image.getexif().get(_ORIENTATION) in _SIDEWAYS
    except _DAMAGE:  # damaged metadata of a sound picture
        return False


def decode_image(content: bytes, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE) -> Picture:
    """Decode an image (of an animation: its first frame) to uint8 RGB, (height, width, 3).

    Transparency is laid on white, as a web page would show it.

    Args:
        content: The whole file.
        max_pixels: Larger images are refused.
        max_side: A longer side is scaled down to this many pixels.

    Raises:
        ImageError: Not an image, damaged, or too large.
    """
    with _opened(content, max_pixels) as image:
        try:
            if max(image.size) > max_side:
                image.draft("RGB", (max_side, max_side))
                image.thumbnail((max_side, max_side), Image.Resampling.BOX)
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_on_white(upright))
        except _DAMAGE as error:
            reason = f"damaged {image.format}: {error}"
            raise ImageError(DownloadStatus.NOT_AN_IMAGE, reason) from None


def read_image(path: Path) -> Picture:
    """Decode an image file; see :func:`decode_image`."""
    return decode_image(path.read_bytes())


def _opened(content: bytes, max_pixels: int) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(DownloadStatus.TOO_MANY_PIXELS, str(error)) from None
    except UnidentifiedImageError:
        head = content[:16].decode("latin-1").encode("ascii", "backslashreplace").decode()
        reason = f"no known image format (begins with {head!r})" if content else "no bytes"
        raise ImageError(DownloadStatus.NOT_AN_IMAGE, reason) from None
    except _DAMAGE as error:
        raise ImageError(DownloadStatus.NOT_AN_IMAGE, f"damaged: {error}") from None
    width, height = image.size
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels, more than {max_pixels}"
        raise ImageError(DownloadStatus.TOO_MANY_PIXELS, reason)
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float32)
        top = 65535.0 if image.mode.startswith("I") else float(max(values.max(initial=0.0), 1.0))
        grey = np.clip(np.nan_to_num(values) / top * 255, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")
