"""What a folder of anchors holds, as far as a run file for it has to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.anchor_sources.images import FolderAnchors
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.raster import GEOTIFF, open_raster
from laion_eo.types import SkippedAnchor

INSPECTED = 300
"""Anchors that are read, at most; a first guess needs no more."""
FEW = 10
"""Anchors, below which what is fitted to them is a guess."""
SIZES = (256, 128, 64, 32, 16)
"""Least sizes to choose from, in pixels; the paper's is the first."""
REACHED_BY = 0.9
"""Share of the anchors that are at least of the size chosen."""
SIZE_OF_TEXTS = 128
"""Least size where the anchors are texts, which have none."""
REFLECTANCE = 10_000
"""What scaled reflectance is divided by: the usual factor of satellite products."""
BRIGHTEST = 2 * REFLECTANCE
"""Values up to this are taken for reflectance: clouds, snow and glint exceed its nominal 1."""
EIGHT_BITS = 255
"""Values up to this, in a wider type, are counts of a sensor, or a picture's: not reflectance."""
SAMPLED = 256
"""Rows and columns of a GeoTIFF whose values are sampled, about."""


@dataclass(frozen=True, slots=True)
class Normalization:
    """A normalizer that fits the anchors.

    Attributes:
        use: Its name.
        why: What in the anchors speaks for it, in one line.
        scale: Divisor of the values, where the usual one of their type is wrong.
    """

    use: str
    why: str
    scale: float | None = None


@dataclass(frozen=True)
class Inspection:
    """What is known of the anchors of a new domain.

    Attributes:
        root: Their folder; ``None`` of texts.
        texts: The anchors, if they are texts.
        count: How many anchors there are.
        inspected: How many of them were read.
        normalization: What fits them.
        min_size: A least width and height for images of the domain, in pixels.
        sizes: Shortest and longest side of those that were read, in pixels; ``None`` of texts.
        bands: Bands of red, green and blue, from 1 on, or of grey; empty where the usual ones fit.
        notes: What a person should know or change, a line each.
    """

    root: Path | None
    texts: tuple[str, ...]
    count: int
    inspected: int
    normalization: Normalization
    min_size: int
    sizes: tuple[int, int] | None = None
    bands: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def inspect_texts(texts: Sequence[str]) -> Inspection:
    """Return what is to be known of texts as anchors.

    Raises:
        ConfigError: There is none, or one is empty or given twice.
    """
    said = [" ".join(text.split()) for text in texts]
    if not said or not all(said):
        raise ConfigError("an anchor is empty: each text has to say what you search for.")
    if twice := sorted({text for text in said if said.count(text) > 1}):
        raise ConfigError(f"the anchor {twice[0]!r} is given twice.")
    notes = (_few(len(said), "texts"),) if len(said) < FEW else ()
    normalization = Normalization("none", "the anchors are texts")
    return Inspection(
        None, tuple(said), len(said), len(said), normalization, SIZE_OF_TEXTS, notes=notes
    )


def inspect_folder(root: Path) -> Inspection:
    """Read the anchors of a folder, the first few hundred at most.

    Args:
        root: Of GeoTIFF, JPEG, PNG or WebP files, also in folders below.

    Raises:
        DataError: There is no such folder, no image in it, or none that can be read.
    """
    source, bands, notes = _source(root)
    count, seen, faults = source.count(), [], []
    for anchor in islice(source.anchors(), INSPECTED):
        if isinstance(anchor, SkippedAnchor):
            faults.append(anchor.reason)
        elif anchor.pixels is not None:
            seen.append(_see(str(anchor.id), anchor.pixels))
    read = len(seen) + len(faults)
    if not seen:
        raise DataError(f"{root}: none of {read} images can be read, such as {faults[0]}")
    if faults:
        notes.append(
            f"{len(faults)} of {read} anchors cannot be read, and will be skipped, such as "
            f"{faults[0]}"
        )
    if count - len(faults) < FEW:
        notes.append(_few(count - len(faults), "anchors that can be read"))
    rasters = [one for one in seen if one.is_raster]
    pictures = len(seen) - len(rasters)
    if rasters and pictures:
        notes.append(
            f"{len(rasters)} GeoTIFFs lie among {pictures} pictures, and one normalizer treats "
            "them all: keep each kind in a folder of its own."
        )
    return Inspection(
        root=root,
        texts=(),
        count=count,
        inspected=read,
        normalization=_of_rasters(rasters) if len(rasters) > pictures else _OF_PICTURES,
        min_size=_min_size([min(one.sides) for one in seen]),
        sizes=(min(min(one.sides) for one in seen), max(max(one.sides) for one in seen)),
        bands=bands,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of an anchor that was read: its sides, type and usual values, not its pixels."""

    is_raster: bool
    sides: tuple[int, int]
    dtype: np.dtype[Any]
    low: float
    high: float


def _see(name: str, pixels: NDArray[Any]) -> _Seen:
    height, width = pixels.shape[1:]
    is_raster = Path(name).suffix.lower() in GEOTIFF
    step = max(1, max(height, width) // SAMPLED)
    sample = pixels[:, ::step, ::step] if is_raster else np.zeros(1)
    finite = sample[np.isfinite(sample)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 0.0)
    return _Seen(is_raster, (height, width), pixels.dtype, float(low), float(high))


_OF_PICTURES = Normalization("none", "the anchors are pictures already")


def _few(count: int, what: str) -> str:
    return (
        f"only {count} {what}: thresholds fitted to so few are a guess; give {2 * FEW} or more, of "
        "every kind that you want to find."
    )


def _source(root: Path) -> tuple[FolderAnchors, tuple[int, ...], list[str]]:
    """Return the anchors, with the bands that the first GeoTIFF suggests, and notes."""
    source = FolderAnchors(FolderAnchors.Config(root=root), Context())
    source.count()  # raises if there is nothing
    first = next(_geotiffs(root), None)
    bands, notes = _bands(first) if first else ((), [])
    if bands:
        source = FolderAnchors(FolderAnchors.Config(root=root, bands=bands), Context())
    return source, bands, notes


def _geotiffs(root: Path) -> Iterator[Path]:
    found = (path for path in sorted(root.rglob("*")) if path.suffix.lower() in GEOTIFF)
    return (path for path in found if path.is_file())


def _bands(path: Path) -> tuple[tuple[int, ...], list[str]]:
    """Return which bands of a GeoTIFF to show, empty for the first three, and what is unsure."""
    try:
        with open_raster(path, path) as raster:
            count, named = raster.count, _named(raster)
    except DataError:  # it is counted, and skipped, when all are read
        return (), []
    if count < 3:
        return ((), []) if count == 1 else ((1,), [f"{path.name} has 2 bands: the first is shown."])
    if named:
        return (() if named == (1, 2, 3) else named), []
    if count == 3:
        return (), []
    return (1, 2, 3), [
        f"{path.name} has {count} bands and does not say which are red, green and blue: "
        "see anchors.bands."
    ]


def _named(raster: Any) -> tuple[int, ...]:
    """Return the bands that a raster itself calls red, green and blue, or B4, B3 and B2."""
    colours = [colour.name for colour in raster.colorinterp]
    words = [(text or "").strip().lower() for text in raster.descriptions]
    for names, wanted in (
        (colours, ("red", "green", "blue")),
        (words, ("red", "green", "blue")),
        (words, ("b04", "b03", "b02")),
        (words, ("b4", "b3", "b2")),
    ):
        if all(name in names for name in wanted):
            return tuple(names.index(name) + 1 for name in wanted)
    return ()


def _min_size(shortest: Sequence[int]) -> int:
    """Return the largest size that most of the anchors have."""
    for size in SIZES:
        if np.mean(np.asarray(shortest) >= size) >= REACHED_BY:
            return size
    return SIZES[-1]


def _of_rasters(anchors: Sequence[_Seen]) -> Normalization:
    """Return what fits GeoTIFFs: by the type of their values, and how large those are."""
    dtypes = {anchor.dtype for anchor in anchors}
    if dtypes == {np.dtype(np.uint8)}:
        return Normalization("none", "the anchors have 8 bits a band, as pictures")
    low = float(np.median([anchor.low for anchor in anchors]))
    high = float(np.median([anchor.high for anchor in anchors]))
    spread = f"{', '.join(sorted(map(str, dtypes)))}, mostly {_number(low)} to {_number(high)}"
    floats = any(np.issubdtype(dtype, np.floating) for dtype in dtypes)
    if low >= 0 and EIGHT_BITS < high <= BRIGHTEST:
        why = f"{spread}, as reflectance times {REFLECTANCE:,}: dark ones gain brightness"
        return Normalization("reflectance-gain", why, float(REFLECTANCE) if floats else None)
    if low >= 0 and floats and high <= BRIGHTEST / REFLECTANCE:
        why = f"{spread}, as reflectance: dark ones gain brightness"
        return Normalization("reflectance-gain", why)
    why = f"{spread}, no usual range: each band is stretched between its 2nd and 98th percentile"
    return Normalization("percentile", why)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"
