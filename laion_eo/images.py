"""Third-party image files: what they are, from the header alone, and their pixels.

Only the formats of :data:`FORMATS` are opened, sizes are checked before a pixel is decoded, and
metadata is ignored but for the EXIF orientation.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from laion_eo.texts import one_line
from laion_eo.types import DownloadStatus, Picture

Image.init()
FORMATS: tuple[str, ...] = tuple(
    name for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF") if name in Image.OPEN
)
EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}
MAX_PIXELS = 178_956_970
"""Pillow's own limit; the largest images of LAION-EO (section 2.4) stay below it."""
MAX_SIDE = 4096
"""Longer sides are scaled down on decoding; no embedder takes more than a fraction of that."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation; from 5 on it lies on its side."""
# What Pillow's decoders raise on damaged files, beside its own errors: anything but what stops a
# program. A duration of 0 in an AVIF is a ZeroDivisionError, for one.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
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
        content: The complete file.
        max_pixels: Larger images are refused.

    Raises:
        ImageError: Not an image of a known format, or too large.
    """
    with _opened(content, max_pixels) as image:
        width, height = image.size
        if isinstance(image, TiffImageFile):  # some releases of Pillow turn its size on opening
            width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
        if _orientation(image) >= 5:
            width, height = height, width
        return ImageInfo(str(image.format), width, height)


def decode_image(content: bytes, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE) -> Picture:
    """Decode an image (of an animation: its first frame) to uint8 RGB, (height, width, 3).

    Transparency is laid on white, as a web page would show it.

    Args:
        content: The complete file.
        max_pixels: Larger images are refused.
        max_side: A longer side is scaled down to this many pixels.

    Raises:
        ImageError: Not an image, damaged, or too large.
    """
    with _opened(content, max_pixels) as image:
        # Pillow itself turns a TIFF.
        turn = None if image.format == "TIFF" else _UPRIGHT.get(_orientation(image))
        if image.mode[0] not in "IF":  # Pillow cannot scale these down
            image.thumbnail((max_side, max_side), Image.Resampling.BOX)
        shown = _on_white(image)
        shown.thumbnail((max_side, max_side), Image.Resampling.BOX)
        return np.asarray(shown if turn is None else shown.transpose(turn))


def read_image(path: Path) -> Picture:
    """Decode an image file; see :func:`decode_image`."""
    return decode_image(path.read_bytes())


class _Silence:
    """Keeps Pillow's and rasterio's words about odd files from the user, while a thread is inside.

    What matters of it comes as exceptions, which say it once, with the file's name. The filters of
    warnings and the levels of loggers belong to the whole process: were each thread to put back
    what it found, the last one out could put back another's silence.
    """

    _LOGGERS = tuple(map(logging.getLogger, ("PIL", "rasterio")))
    _MODULES = r"(PIL|rasterio|laion_eo)\b"  # ours: compiled code warns in its caller's name

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._levels: list[int] = []
        self._filter: object = None

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                warnings.filterwarnings("ignore", module=self._MODULES)
                self._filter = warnings.filters[0]
                self._levels = [logger.level for logger in self._LOGGERS]
                for logger in self._LOGGERS:
                    logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                # Only our own: others may have come and gone meanwhile, this one with them.
                with suppress(ValueError):
                    cast("list[object]", warnings.filters).remove(self._filter)
                for logger, level in zip(self._LOGGERS, self._levels, strict=True):
                    logger.setLevel(level)


silenced = _Silence()
"""Entered by any thread, as often as it likes; see :class:`_Silence`."""


@contextmanager
def _opened(content: bytes, max_pixels: int) -> Iterator[Image.Image]:
    with silenced, _checked(content, max_pixels) as image:
        try:
            yield image
        except Image.DecompressionBombError as error:  # a frame that is larger than its picture
            raise ImageError(DownloadStatus.TOO_MANY_PIXELS, one_line(error, 200)) from None
        except _DAMAGE as error:
            reason = f"damaged {image.format}: {one_line(error, 200)}"
            raise ImageError(DownloadStatus.NOT_AN_IMAGE, reason) from None


def _checked(content: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(DownloadStatus.TOO_MANY_PIXELS, str(error)) from None
    except UnidentifiedImageError:
        head = content[:16].decode("latin-1").encode("ascii", "backslashreplace").decode()
        reason = f"no known image format (begins with {head!r})" if content else "no bytes"
        raise ImageError(DownloadStatus.NOT_AN_IMAGE, reason) from None
    except _DAMAGE as error:
        raise ImageError(DownloadStatus.NOT_AN_IMAGE, f"damaged: {one_line(error, 200)}") from None
    width, height = image.size
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels, more than {max_pixels}"
        raise ImageError(DownloadStatus.TOO_MANY_PIXELS, reason)
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, which is upright, where there is none."""
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 1  # getexif would decode the whole picture to reach a chunk behind it
    try:
        value = image.getexif().get(_ORIENTATION)
    except _DAMAGE:
        return 1
    return value if value in _UPRIGHT else 1


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
        top = 65535.0 if image.mode[0] == "I" else max(float(values.max(initial=0.0)), 1.0)
        grey = np.clip(values / top * 255, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")
