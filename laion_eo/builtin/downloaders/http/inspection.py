"""What came: format, size, completeness, motion. From the bytes alone: Content-Type may lie.

Everything that is to be known of a downloaded file is read here, in one trip. Its format is sniffed
once. Its header is read by Pillow, which will decode it later, and so decides what its size is. Its
structure is walked once, without decoding. What a file's own metadata ask of us would be read here
too: this is the one place that has the complete file in its hands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.structure import read_structure
from laion_eo.images import ImageError, ImageInfo, inspect_image
from laion_eo.types import DownloadStatus

SNIFFED = 1024
"""Bytes by which a format is recognised: an SVG may begin with comments, other formats need 64."""
HEADER = 64 * 1024
"""Bytes that have nearly every header in them: JPEG's metadata comes in segments of at most 64 KiB.
Pillow is asked once there, not at each step before; whatever is smaller is complete by then."""
# Their readers take the complete file or nothing.
_UNREADABLE_IN_PART = frozenset({"WEBP", "AVIF", "TIFF"})
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"%PDF-", "PDF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG2000"),
)
_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF",
    b"isom": "MP4", b"mp41": "MP4", b"mp42": "MP4", b"qt  ": "MP4",
}  # fmt: skip
_SVG = re.compile(rb"<svg[\s>:]", re.IGNORECASE)
_MARKUP = re.compile(rb"\s*<(!doctype|html|head|body|script|title|meta|\?xml|!--)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a complete image.

    Attributes:
        format: By its first bytes, in Pillow's words.
        width: Pixels, as the picture is to be seen (EXIF orientation applied).
        height: Pixels, likewise.
        animated: Whether it has further frames.
    """

    format: str
    width: int
    height: int
    animated: bool


class Inspector:
    """Inspects one body, in steps while it comes.

    Args:
        options: The run's options.
        code: The answer's status code.
    """

    def __init__(self, options: HttpOptions, code: int | None) -> None:
        self._options = options
        self._code = code
        self._kind: str | None = None
        self._info: ImageInfo | None = None

    def peek(self, head: bytes) -> bool:
        """Inspect an unfinished body; return True if only the complete one has more to say.

        Raises:
            RefusedError: Reading on is of no use.
        """
        kind = self._format(head)
        if kind in _UNREADABLE_IN_PART:
            return True
        if len(head) < HEADER:
            return False
        try:
            self._info = self._header(head)
        except ImageError as error:  # for want of bytes, perhaps: then the complete file will do
            if error.status is DownloadStatus.TOO_MANY_PIXELS:
                raise self._refusal(error.status, str(error)) from None
        return True

    def inspect(self, content: bytes) -> Inspection:
        """Inspect the finished body.

        Raises:
            RefusedError: It is not an image that the run takes.
        """
        if not content:
            raise self._refusal(DownloadStatus.EMPTY, "no bytes")
        kind = self._format(content)
        structure = read_structure(kind, content)
        if not structure.complete:
            reason = f"the {kind} ends too early, after {len(content)} bytes"
            raise self._refusal(DownloadStatus.TRUNCATED, reason)
        try:
            info = self._info or self._header(content)
        except ImageError as error:
            raise self._refusal(error.status, str(error)) from None
        # Not Pillow's name: it calls a JPEG with a second picture behind it "MPO".
        return Inspection(kind, info.width, info.height, structure.animated)

    def _format(self, content: bytes) -> str:
        """Return the format, sniffed the first time, if the run takes it."""
        if self._kind is not None:
            return self._kind
        kind = sniff(content)
        if kind == "HTML":
            raise self._refusal(DownloadStatus.WEB_PAGE, "a web page, not an image")
        if kind is None:
            begins = content[:16].decode("latin-1").encode("ascii", "backslashreplace").decode()
            reason = f"no known image format (begins with {begins!r})"
            raise self._refusal(DownloadStatus.NOT_AN_IMAGE, reason)
        if kind not in self._options.formats:
            reason = f"{kind} is not one of {', '.join(self._options.formats)}"
            raise self._refusal(DownloadStatus.UNLISTED_FORMAT, reason)
        self._kind = kind
        return kind

    def _header(self, content: bytes) -> ImageInfo:
        found = inspect_image(content, self._options.max_pixels)
        least = self._options.min_side
        if min(found.width, found.height) < least:
            reason = f"{found.width} x {found.height} pixels; a side needs {least}"
            raise self._refusal(DownloadStatus.TOO_SMALL, reason)
        return found

    def _refusal(self, status: DownloadStatus, reason: str) -> RefusedError:
        return RefusedError(status, reason, self._code)


def sniff(content: bytes) -> str | None:
    """Name the format of a file by its first bytes; ``None`` where they say nothing.

    Args:
        content: The file, or its beginning: no more than :data:`SNIFFED` bytes count.
    """
    head = content[:SNIFFED]
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = (head[8:12], *(head[i : i + 4] for i in range(16, min(len(head), 64), 4)))
        # An AVIF may call itself mif1 first: a compatible brand decides then.
        known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return "AVIF" if "AVIF" in known else next(iter(known), None)
    text = head.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe")
    if _SVG.search(text):
        return "SVG"
    return "HTML" if _MARKUP.match(text) else None
