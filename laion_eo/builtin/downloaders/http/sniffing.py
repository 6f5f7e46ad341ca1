"""What came: format, size and wholeness, from the bytes alone; Content-Type is not believed."""

from __future__ import annotations

import re

from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.structure import read_structure
from laion_eo.images import ImageError, ImageInfo, inspect_image
from laion_eo.types import DownloadStatus

ENOUGH = 64
"""Bytes after which an unknown beginning stays unknown."""
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


def sniff(head: bytes) -> str | None:
    """Name the format of a file by its first bytes; ``None`` where they say nothing.

    Args:
        head: The beginning; 1,000 bytes are plenty.
    """
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
    text = head[:1024].removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe")
    if _SVG.search(text):
        return "SVG"
    return "HTML" if _MARKUP.match(text) else None


class Look:
    """One look at one body, taken in steps while it comes.

    Args:
        options: The run's options.
        code: The answer's status code.
    """

    def __init__(self, options: HttpOptions, code: int | None) -> None:
        self._options = options
        self._code = code
        self._info: ImageInfo | None = None

    def glance(self, head: bytes) -> bool:
        """Look at an unfinished body; return True once its header has said everything.

        Raises:
            RefusedError: Reading on is of no use.
        """
        kind = self._kind(head)
        try:
            self._info = self._header(head, kind)
        except ImageError as error:
            if error.status is DownloadStatus.TOO_MANY_PIXELS:
                raise self._refusal(error.status, str(error)) from None
        return self._info is not None

    def whole(self, content: bytes) -> tuple[ImageInfo, bool]:
        """Look at the finished body: what it is, and whether it is an animation.

        Raises:
            RefusedError: It is not an image that the run takes.
        """
        if not content:
            raise self._refusal(DownloadStatus.EMPTY, "no bytes")
        kind = self._kind(content[:1024])
        structure = read_structure(kind, content)
        if not structure.whole:
            reason = f"the {kind} ends too early, after {len(content)} bytes"
            raise self._refusal(DownloadStatus.TRUNCATED, reason)
        try:
            info = self._info or self._header(content, kind)
        except ImageError as error:
            raise self._refusal(error.status, str(error)) from None
        return info, structure.animated

    def _kind(self, head: bytes) -> str:
        kind = sniff(head)
        if kind == "HTML":
            raise self._refusal(DownloadStatus.WEB_PAGE, "a web page, not an image")
        if kind is None:
            begins = head[:16].decode("latin-1").encode("ascii", "backslashreplace").decode()
            reason = f"no known image format (begins with {begins!r})"
            raise self._refusal(DownloadStatus.NOT_AN_IMAGE, reason)
        if kind not in self._options.formats:
            reason = f"{kind} is not one of {', '.join(self._options.formats)}"
            raise self._refusal(DownloadStatus.UNLISTED_FORMAT, reason)
        return kind

    def _header(self, content: bytes, kind: str) -> ImageInfo:
        found = inspect_image(content, self._options.max_pixels)
        least = self._options.min_side
        if min(found.width, found.height) < least:
            reason = f"{found.width} x {found.height} pixels; a side needs {least}"
            raise self._refusal(DownloadStatus.TOO_SMALL, reason)
        # By its bytes: Pillow calls a JPEG with a second picture behind it "MPO".
        return ImageInfo(kind, found.width, found.height)

    def _refusal(self, status: DownloadStatus, reason: str) -> RefusedError:
        return RefusedError(status, reason, self._code)
