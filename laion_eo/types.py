"""The types of what passes between components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Embeddings: TypeAlias = NDArray[np.float32]
"""float32, (n, dim), each row of length 1."""

Picture: TypeAlias = NDArray[np.uint8]
"""uint8 RGB, (height, width, 3)."""

JSON: TypeAlias = Any
"""Anything that :mod:`json` writes: the free data of plugins and of the Hub."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One sample of the anchor dataset: an image, or a text in place of one.

    Attributes:
        id: Name of the sample within its source, stable from run to run.
        pixels: (bands, height, width), any numeric dtype; ``None`` for a text anchor.
        scale: Divisor of ``pixels`` that gives 0..1: 10,000 for Sentinel-2 L2A digital numbers
            (section 2.1 of the paper), 255 for 8-bit pictures.
        bands: Names of the bands, in the order of ``pixels``.
        gsd: Ground sampling distance in metres per pixel.
        lon: Longitude of the centre in degrees, WGS 84.
        lat: Latitude of the centre in degrees, WGS 84.
        acquired: Time of acquisition, UTC.
        text: The prompt of a text anchor, else ``None``.
    """

    id: str
    pixels: NDArray[Any] | None = None
    scale: float = 10_000.0
    bands: tuple[str, ...] = ()
    gsd: float | None = None
    lon: float | None = None
    lat: float | None = None
    acquired: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class SkippedAnchor:
    """A sample of the anchor dataset that could not be read; it keeps its number.

    Attributes:
        id: Name of the sample within its source.
        reason: One line: what is wrong with it.
    """

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest rows of the pool for n queries.

    Attributes:
        scores: float32, (n, k), cosine similarity, descending along each row.
        ids: int64, (n, k), row indices in the pool; -1 where there are fewer than k.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.scores.shape != self.ids.shape:
            raise ValueError(f"scores {self.scores.shape} and ids {self.ids.shape} must be (n, k)")
        if self.scores.dtype != np.float32 or self.ids.dtype != np.int64:
            raise TypeError(f"float32 and int64 wanted, got {self.scores.dtype}, {self.ids.dtype}")


class DownloadStatus(StrEnum):
    """How the download of one URL ended.

    Attributes:
        meaning: One line for a person.
    """

    meaning: str

    OK = "ok", "a complete image"
    ANIMATED = "animated", "a complete animation; its first frame is used"
    BAD_URL = "bad-url", "not an http or https URL"
    REFUSED_ADDRESS = "refused-address", "a private, loopback, link-local or metadata address"
    DNS_ERROR = "dns-error", "the host name has no address"
    UNREACHABLE = "unreachable", "no connection, or it was lost before a response"
    TLS_ERROR = "tls-error", "the server's certificate or TLS is not valid"
    TIMEOUT = "timeout", "no connection, next byte or complete response in time"
    BAD_ANSWER = "bad-answer", "the response is not valid HTTP"
    HTTP_ERROR = "http-error", "an HTTP code other than 200"
    TOO_MANY_REDIRECTS = "too-many-redirects", "redirects in a loop, or too many of them"
    RATE_LIMITED = "rate-limited", "the server asks for a longer wait than the run allows"
    ROBOTS_TXT = "robots-txt", "the site's robots.txt does not allow it"
    X_ROBOTS_TAG = "x-robots-tag", "X-Robots-Tag: noai, noimageai, noindex or noimageindex"
    TDM_RESERVED = "tdm-reserved", "TDMRep: rights to text and data mining are reserved"
    NOT_ALLOWED = "not-allowed", "not on the run's allow-list"
    BLOCKED = "blocked", "on the run's block-list"
    EMPTY = "empty", "a response without content"
    TRUNCATED = "truncated", "an incomplete image"
    TOO_LARGE = "too-large", "more bytes than the run allows"
    TOO_SMALL = "too-small", "fewer pixels a side than the run asks for: a tracking pixel, an icon"
    TOO_MANY_PIXELS = "too-many-pixels", "more pixels than the run allows: a decompression bomb"
    WEB_PAGE = "web-page", "HTML instead of an image"
    UNLISTED_FORMAT = "unlisted-format", "an image of a format that is not accepted, such as SVG"
    NOT_AN_IMAGE = "not-an-image", "not an image, or a damaged one"

    def __new__(cls, value: str, meaning: str = "") -> DownloadStatus:
        """Create a member with its value and its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    @property
    def has_image(self) -> bool:
        """Whether the bytes were kept."""
        return self in (DownloadStatus.OK, DownloadStatus.ANIMATED)


@dataclass(frozen=True, slots=True)
class Download:
    """The result of one download.

    Attributes:
        url: The URL asked for.
        status: How it ended.
        reason: One line for a person; empty when ``status`` is ok.
        http_code: Status code of the last response; ``None`` where no server responded.
        content: The bytes; ``None`` unless the status has an image.
        sha256: Hex digest of ``content``.
        md5: Hex digest of ``content``, by which LAION's own tables identify images.
        width: Pixels, with the EXIF orientation applied.
        height: Pixels, likewise.
        format: Pillow's name of the format, such as ``"JPEG"``.
        final_url: The URL after redirects.
        fetched_at: When the download ended, UTC.
    """

    url: str
    status: DownloadStatus
    reason: str = ""
    http_code: int | None = None
    content: bytes | None = None
    sha256: str | None = None
    md5: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    final_url: str | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A filter's decision on n rows.

    Attributes:
        mask: bool, (n,): True keeps the row.
        reasons: n strings: why a row is dropped; ignored where ``mask`` is True.
    """

    mask: NDArray[np.bool_]
    reasons: Sequence[str]

    def __post_init__(self) -> None:
        if self.mask.dtype != np.bool_ or self.mask.shape != (len(self.reasons),):
            raise ValueError(
                f"a bool mask of {len(self.reasons)} rows wanted (one a reason), "
                f"got {self.mask.dtype} {self.mask.shape}"
            )


@dataclass(frozen=True, slots=True)
class LanguageTags:
    """The languages of n texts.

    Attributes:
        codes: n ISO 639-1 codes; ``None`` where the text has none (empty, digits).
        scores: float32, (n,), 0..1, the tagger's confidence; 0 where the code is ``None``.
    """

    codes: Sequence[str | None]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.scores.dtype != np.float32 or self.scores.shape != (len(self.codes),):
            raise ValueError(
                f"{len(self.codes)} codes but scores {self.scores.dtype} {self.scores.shape}"
            )
