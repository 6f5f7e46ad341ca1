"""What components return is checked here, so that the broken one is named and no other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.component import Component
from laion_eo.digests import HashedBytes
from laion_eo.errors import RunError
from laion_eo.images import FORMATS
from laion_eo.types import (
    Anchor,
    Download,
    DownloadStatus,
    Embeddings,
    LanguageTags,
    Neighbors,
    Picture,
    SkippedAnchor,
    Verdict,
)


def fail(component: Component, what: str) -> RunError:
    """Return the error that names a component which broke its contract, and who provides it."""
    return RunError(f"{component.name!r} ({component.provider}) broke its contract: {what}.")


def _of_type(component: Component, value: object, wanted: type) -> None:
    if not isinstance(value, wanted):
        raise fail(component, f"{wanted.__name__} wanted, got {type(value).__name__}")


def check_needs(component: Component, value: object) -> tuple[str, ...]:
    """Return the columns that a scorer or a filter needs, if they are a list of names.

    Raises:
        RunError: They are not; a single text is not one either.
    """
    if not isinstance(value, tuple | list) or not all(isinstance(name, str) for name in value):
        raise fail(component, f"a tuple of column names wanted from needs, got {value!r}")
    return tuple(value)


def check_columns(component: Component, value: object) -> pa.Schema:
    """Return the columns that a scorer makes, if they are a schema.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, pa.Schema):
        raise fail(component, f"a pyarrow.Schema wanted as columns, got {type(value).__name__}")
    return value


def check_facts(component: Component, value: object) -> Mapping[str, object]:
    """Return what a component records of its work, if it is a dict.

    Raises:
        RunError: It is not.
    """
    if not isinstance(value, dict):
        raise fail(component, f"a dict wanted from facts, got {type(value).__name__}")
    return value


def check_anchor(component: Component, value: object) -> Anchor | SkippedAnchor:
    """Return a sample of an anchor source if it is a complete one.

    Raises:
        RunError: It is neither an Anchor nor a SkippedAnchor; it has both pixels and a text, or
            none; its pixels are not numbers of (bands, height, width); its scale is not positive;
            its position is not in degrees; its time is not in UTC.
    """
    if isinstance(value, SkippedAnchor):
        return value
    if not isinstance(value, Anchor):
        raise fail(component, f"Anchor or SkippedAnchor wanted, got {type(value).__name__}")
    if (value.pixels is None) == (value.text is None):
        raise fail(component, f"the anchor {value.id!r} needs pixels or a text, and not both")
    if value.pixels is not None:
        _check_pixels(component, value.id, value.pixels)
    if not value.scale > 0:
        raise fail(component, f"the anchor {value.id!r} has the scale {value.scale}, not above 0")
    for name, limit in (("lon", 180.0), ("lat", 90.0)):
        degrees = getattr(value, name)
        if degrees is not None and not abs(degrees) <= limit:
            raise fail(component, f"the anchor {value.id!r} has the {name} {degrees}, not degrees")
    if value.acquired is not None and value.acquired.utcoffset() != timedelta():
        raise fail(component, f"the anchor {value.id!r} was acquired at no time in UTC")
    return value


def _check_pixels(component: Component, name: str, pixels: NDArray[Any]) -> None:
    array = np.asarray(pixels)
    good = isinstance(pixels, np.ndarray) and array.dtype.kind in "uif"
    if not good or array.ndim != 3 or 0 in array.shape:
        got = f"{type(pixels).__name__} of {array.dtype} {array.shape}"
        what = f"numbers of (bands, height, width) wanted, got {got}"
        raise fail(component, f"the anchor {name!r}: {what}")


def check_pictures(component: Component, value: object, count: int | None = None) -> list[Picture]:
    """Return the pictures if they are uint8 (height, width, 3).

    Args:
        component: Who made them.
        value: A list of them.
        count: How many there must be; at least one if not given.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, list | tuple):
        raise fail(component, f"a list of pictures wanted, got {type(value).__name__}")
    if len(value) != count if count is not None else not value:
        wanted = "at least 1" if count is None else count
        raise fail(component, f"{wanted} pictures wanted, got {len(value)}")
    for picture in value:
        array = np.asarray(picture)
        good = isinstance(picture, np.ndarray) and array.dtype == np.uint8 and array.ndim == 3
        if not good or array.shape[-1] != 3 or 0 in array.shape:
            got = f"{type(picture).__name__} of {array.dtype} {array.shape}"
            raise fail(component, f"uint8 (height, width, 3) wanted, got {got}")
    return list(value)


def check_embeddings(
    component: Component, value: NDArray[np.float32], rows: int, dim: int | None = None
) -> Embeddings:
    """Return the embeddings if they are float32, (rows, dim), finite and of length 1.

    Raises:
        RunError: They are not.
    """
    wanted = (rows, "dim" if dim is None else dim)
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != 2
        or value.shape[0] != rows
        or dim not in (None, value.shape[1])
    ):
        shape = getattr(value, "shape", type(value).__name__)
        raise fail(component, f"embeddings of shape ({wanted[0]}, {wanted[1]}) wanted, got {shape}")
    if value.dtype != np.float32:
        raise fail(component, f"float32 embeddings wanted, got {value.dtype}")
    lengths = np.linalg.norm(value, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):
        worst = lengths[np.argmax(np.abs(lengths - 1.0))] if np.isfinite(lengths).all() else "NaN"
        raise fail(component, f"embeddings of length 1 wanted, got {worst}")
    return value


def check_neighbors(component: Component, value: Neighbors, rows: int, k: int) -> Neighbors:
    """Return the neighbours if they are (rows, k) and each row descends.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, Neighbors) or value.ids.shape != (rows, k):
        shape = value.ids.shape if isinstance(value, Neighbors) else type(value).__name__
        raise fail(component, f"neighbours of shape ({rows}, {k}) wanted, got {shape}")
    there = value.ids >= 0
    if (there[:, 1:] & ~there[:, :-1]).any():
        raise fail(component, "missing neighbours (id -1) must come last")
    if not np.isfinite(value.scores[there]).all():
        raise fail(component, "scores that are not finite")
    if (value.scores[:, 1:] > value.scores[:, :-1])[there[:, 1:]].any():
        raise fail(component, "scores that do not descend")
    return value


def check_lookup(component: Component, value: pa.Table, rows: int) -> pa.Table:
    """Return the metadata if it has the rows that were asked for, ``url`` and ``caption``.

    Raises:
        RunError: It has not.
    """
    _of_type(component, value, pa.Table)
    missing = {"url", "caption"} - set(value.column_names)
    if missing or value.num_rows != rows:
        lacks = f", without {' and '.join(sorted(missing))}" if missing else ""
        raise fail(component, f"lookup of {rows} ids gave {value.num_rows} rows{lacks}")
    for name in ("url", "caption"):
        kind = value.schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise fail(component, f"strings wanted in the column {name!r}, got {kind}")
    return value


def check_download(component: Component, value: Download, asked: Collection[str]) -> Download:
    """Return the result of a download if it was asked for and is what it says.

    Its ``sha256`` and ``format`` name a file of the run directory, and a filter may judge it by its
    ``md5``, so they are not taken on trust. Bytes that hashed themselves are not hashed again.

    Raises:
        RunError: It is of another URL, or of one that was answered already, or its content, size,
            hash or format are missing or wrong.
    """
    _of_type(component, value, Download)
    if value.url not in asked:
        raise fail(component, f"a download of {value.url!r}, which was not asked for")
    if not isinstance(value.status, DownloadStatus):
        raise fail(component, f"a DownloadStatus wanted, got {value.status!r}")
    if not value.status.has_image:
        return value
    complete = isinstance(value.content, bytes) and value.width and value.height
    if not complete or value.format not in FORMATS:
        raise fail(
            component,
            f"{value.url!r} is {value.status} but lacks its bytes, size or a known format",
        )
    content = HashedBytes.of(value.content or b"")
    if value.sha256 != content.sha256:
        raise fail(component, f"{value.url!r}: the sha256 is not that of its bytes")
    if value.md5 is not None and value.md5 != content.md5:
        raise fail(component, f"{value.url!r}: the md5 is not that of its bytes")
    return value


def check_table(component: Component, value: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    """Return the table if it has exactly the schema's columns and the number of rows.

    Raises:
        RunError: It has not.
    """
    if not isinstance(value, pa.Table) or value.num_rows != rows:
        got = value.num_rows if isinstance(value, pa.Table) else type(value).__name__
        raise fail(component, f"a table of {rows} rows wanted, got {got}")
    if not value.schema.equals(schema):
        want = ", ".join(f"{f.name}: {f.type}" for f in schema)
        got = ", ".join(f"{f.name}: {f.type}" for f in value.schema)
        raise fail(component, f"the columns ({want}) wanted, got ({got})")
    return value


def check_verdict(component: Component, value: Verdict, rows: int) -> Verdict:
    """Return the verdict if it judges so many rows and says why it drops those that it drops.

    Raises:
        RunError: It does not.
    """
    _of_type(component, value, Verdict)
    if len(value.mask) != rows:
        raise fail(component, f"{rows} verdicts wanted, got {len(value.mask)}")
    for kept, reason in zip(value.mask.tolist(), value.reasons, strict=True):
        if kept:
            continue
        if not isinstance(reason, str) or not reason:
            raise fail(component, f"a row is dropped for the reason {reason!r}")
    return value


def check_tags(component: Component, value: LanguageTags, rows: int) -> LanguageTags:
    """Return the tags if there is one for each text, with a confidence of 0..1.

    Raises:
        RunError: They are not.
    """
    _of_type(component, value, LanguageTags)
    if len(value.codes) != rows:
        raise fail(component, f"{rows} tags wanted, got {len(value.codes)}")
    if not ((value.scores >= 0) & (value.scores <= 1)).all():
        raise fail(component, "confidences of 0..1 wanted")
    for code, score in zip(value.codes, value.scores.tolist(), strict=True):
        if code is None and score != 0:
            raise fail(component, f"a text without a language has the confidence {score}, not 0")
        if code is not None and (not isinstance(code, str) or not code):
            raise fail(component, f"a language code or None wanted, got {code!r}")
    return value


def check_revision(component: Component, value: str) -> str:
    """Return the revision if it is a name.

    Raises:
        RunError: It is not.
    """
    _of_type(component, value, str)
    if not value.strip():
        raise fail(component, "the revision is empty")
    return value
