"""The words of the trade: what passes between the components."""

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
"""Anything that :mod:`json` writes."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One sample of the anchor dataset: an image, or a text that stands for one.

    Attributes:
        id: Name of the sample within its source, stable from run to run.
        pixels: (bands, height, width), any numeric dtype; ``None`` for a text anchor.
        scale: What divides ``pixels`` to give 0..1: 10,000 for Sentinel-2 L2A digital numbers
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
    """A sample of the anchor dataset that could not be read; it keeps its place in the numbering.

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
        ids: int64, (n, k), row numbers in the pool; -1 where there are fewer than k.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.scores.shape != self.ids.shape:
            raise ValueError(f"scores {self.scores.shape} and ids {self.ids.shape} must be (n, k)")
        if self.scores.dtype != np.float32 or self.ids.dtype != np.int64:
            raise TypeError(f"float32 and int64 wanted, got {self.scores.dtype}, {self.ids.dtype}")


class DownloadStatus(StrEnum):
    """How the download of one URL ended."""

    OK = "ok"
    BAD_URL = "bad-url"
    REFUSED_ADDRESS = "refused-address"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    HTTP_ERROR = "http-error"
    TOO_LARGE = "too-large"
    NOT_AN_IMAGE = "not-an-image"
    TOO_MANY_PIXELS = "too-many-pixels"


@dataclass(frozen=True, slots=True)
class Download:
    """The end of one download.

    Attributes:
        url: The URL asked for.
        status: How it ended.
        reason: One line for a person; empty when ``status`` is ok.
        http_code: The last answer's status code; ``None`` where no server answered.
        content: The bytes; ``None`` unless ``status`` is ok.
        sha256: Hex digest of ``content``.
        width: Pixels, as the picture is to be seen (EXIF orientation applied).
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
    width: int | None = None
    height: int | None = None
    format: str | None = None
    final_url: str | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A filter's word on n rows.

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
