"""What components return is checked here, so that the broken one is named and no other."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic_core import to_jsonable_python

from laion_eo.component import Component
from laion_eo.digests import HashedBytes
from laion_eo.images import FORMATS
from laion_eo.kinds.blaming import blaming, of_type
from laion_eo.kinds.blaming import fail as fail
from laion_eo.kinds.retriever import PoolModel, PoolSize
from laion_eo.texts import clean, clean_url, one_line
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

T = TypeVar("T")
LONGEST_CODE = 64
"""Characters of the longest language code."""
MOST_BITS = 4096
"""Bits of the largest number among a component's facts; Python does not write longer ones."""
LAST_INT32 = 2**31 - 1


@blaming
def check_needs(component: Component, value: object) -> tuple[str, ...]:
    """Return the columns that a scorer or a filter needs, if they are a list of names.

    Raises:
        RunError: They are not; a single text is not one either.
    """
    if not isinstance(value, tuple | list) or not all(isinstance(name, str) for name in value):
        raise fail(component, f"a tuple of column names wanted from needs, got {value!r}")
    return tuple(value)


@blaming
def check_columns(component: Component, value: object) -> pa.Schema:
    """Return the columns that a scorer makes, if they are a schema.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, pa.Schema):
        raise fail(component, f"a pyarrow.Schema wanted as columns, got {type(value).__name__}")
    return value


@blaming
def check_facts(component: Component, value: object) -> Mapping[str, object]:
    """Return what a component records of its work as JSON: what JSON does not know, as text.

    Raises:
        RunError: It is no dict, contains itself, or has a number that nobody can write.
    """
    if not isinstance(value, dict):
        raise fail(component, f"a dict wanted from facts, got {type(value).__name__}")
    try:
        plain = to_jsonable_python(value, inf_nan_mode="constants", fallback=_number_or_text)
        return {clean(key)[0] or "": _with_clean_texts(fact) for key, fact in plain.items()}
    except (ValueError, RecursionError) as error:
        raise fail(component, f"facts that are no JSON: {one_line(error)}") from error


def _with_clean_texts(value: object) -> object:
    """Return the value with texts that a file can hold."""
    if isinstance(value, str):
        return clean(value)[0]
    if isinstance(value, dict):
        return {clean(key)[0]: _with_clean_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_clean_texts(item) for item in value]
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise ValueError(f"a number of {value.bit_length()} bits")
    return value


def _number_or_text(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else one_line(str(value))


@blaming
def check_identity(component: Component, value: T) -> T:
    """Return what, beside the options, changes a component's output, if a hash can be made of it.

    Raises:
        RunError: It cannot.
    """
    try:
        json.dumps(value, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise fail(component, f"an identity that is no JSON: {one_line(error)}") from error
    return value


@blaming
def check_count(component: Component, value: object, what: str) -> int:
    """Return a number of things, if it is one.

    Args:
        component: Who counted.
        value: The number.
        what: Of what, for the message.

    Raises:
        RunError: It is no int64 of 0 or more.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        count = int(value)
        if 0 <= count < 2**63:
            return count
    raise fail(component, f"a number of {what} wanted, got {value!r}")


@blaming
def check_counts(component: Component, value: object) -> dict[str, int]:
    """Return what a component counted, by name.

    Raises:
        RunError: It is no dict of names and numbers.
    """
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise fail(component, f"a dict of counts wanted, got {value!r}")
    return {name: check_count(component, count, name) for name, count in value.items()}


@blaming
def check_size(component: Component, value: object) -> PoolSize | None:
    """Return what a retriever says of its pool's size, if it says it.

    Raises:
        RunError: It is neither a PoolSize of whole numbers nor None.
    """
    if value is None:
        return None
    size = of_type(component, value, PoolSize)
    rows = check_count(component, size.rows, "rows of the pool")
    return PoolSize(rows, check_count(component, size.bytes, "bytes of the pool"))


@blaming
def check_model(component: Component, value: object) -> PoolModel:
    """Return what a component says of a model, if it can be compared.

    Raises:
        RunError: It is no PoolModel of texts and a number.
    """
    model = of_type(component, value, PoolModel)
    texts = (model.model_id, model.weights_sha256)
    if not all(text is None or isinstance(text, str) for text in texts):
        raise fail(component, f"a model's name and hash as texts wanted, got {texts!r}")
    if model.dim is not None:
        check_count(component, model.dim, "dimensions")
    return model


@blaming
def check_anchor(component: Component, value: object) -> Anchor | SkippedAnchor:
    """Return a sample of an anchor source if it is a complete one, with texts that files can hold.

    Raises:
        RunError: It is neither an Anchor nor a SkippedAnchor; it has both pixels and a text, or
            none; its pixels are not numbers of (bands, height, width); its scale is not positive;
            its position is not in degrees; its time is not in UTC.
    """
    if isinstance(value, SkippedAnchor):
        return replace(
            value,
            id=_text(component, value.id, "id"),
            reason=_text(component, value.reason, "reason"),
        )
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
        if degrees is not None and not abs(float(degrees)) <= limit:
            raise fail(component, f"the anchor {value.id!r} has the {name} {degrees}, not degrees")
    if value.gsd is not None and not math.isfinite(float(value.gsd)):
        raise fail(component, f"the anchor {value.id!r} has the gsd {value.gsd}, not metres")
    if value.acquired is not None and value.acquired.utcoffset() != timedelta():
        raise fail(component, f"the anchor {value.id!r} was acquired at no time in UTC")
    text = None if value.text is None else _text(component, value.text, "text")
    return replace(value, id=_text(component, value.id, "id"), text=text)


def _text(component: Component, value: object, what: str) -> str:
    return clean(of_type(component, value, str, what))[0] or ""


def _check_pixels(component: Component, name: str, pixels: NDArray[Any]) -> None:
    array = np.asarray(pixels)
    good = isinstance(pixels, np.ndarray) and array.dtype.kind in "uif"
    if not good or array.ndim != 3 or 0 in array.shape:
        got = f"{type(pixels).__name__} of {array.dtype} {array.shape}"
        what = f"numbers of (bands, height, width) wanted, got {got}"
        raise fail(component, f"the anchor {name!r}: {what}")


@blaming
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


def _refuse_masked(component: Component, *arrays: object) -> None:
    if any(isinstance(array, np.ma.MaskedArray) for array in arrays):
        raise fail(component, "an array whose numbers are masked")


@blaming
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
    _refuse_masked(component, value)
    lengths = np.linalg.norm(value, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):
        worst = lengths[np.argmax(np.abs(lengths - 1.0))] if np.isfinite(lengths).all() else "NaN"
        raise fail(component, f"embeddings of length 1 wanted, got {worst}")
    return value


@blaming
def check_neighbors(component: Component, value: Neighbors, rows: int, k: int) -> Neighbors:
    """Return the neighbours if they are (rows, k), and each row descends and has no id twice.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, Neighbors) or value.ids.shape != (rows, k):
        shape = value.ids.shape if isinstance(value, Neighbors) else type(value).__name__
        raise fail(component, f"neighbours of shape ({rows}, {k}) wanted, got {shape}")
    _refuse_masked(component, value.ids, value.scores)
    there = value.ids >= 0
    if (there[:, 1:] & ~there[:, :-1]).any():
        raise fail(component, "missing neighbours (id -1) must come last")
    if not np.isfinite(value.scores[there]).all():
        raise fail(component, "scores that are not finite")
    if (value.scores[:, 1:] > value.scores[:, :-1])[there[:, 1:]].any():
        raise fail(component, "scores that do not descend")
    ordered = np.sort(np.where(there, value.ids, -1), axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise fail(component, "the same id twice for one query")
    if there.all():
        return value
    # What stands beside a missing neighbour means nothing, but is compared when shards are merged.
    scores = np.where(there, value.scores, np.float32(-np.inf))
    return Neighbors(scores, np.where(there, value.ids, -1))


@blaming
def check_lookup(component: Component, value: pa.Table, rows: int) -> pa.Table:
    """Return the metadata if it has the rows that were asked for, ``url`` and ``caption``.

    Raises:
        RunError: It has not.
    """
    of_type(component, value, pa.Table)
    value.validate()
    names = value.column_names
    if len(set(names)) < len(names):
        raise fail(component, f"two columns of one name: {', '.join(names)}")
    missing = {"url", "caption"} - set(names)
    if missing or value.num_rows != rows:
        lacks = f", without {' and '.join(sorted(missing))}" if missing else ""
        raise fail(component, f"lookup of {rows} ids gave {value.num_rows} rows{lacks}")
    for name in ("url", "caption"):
        kind = value.schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise fail(component, f"strings wanted in the column {name!r}, got {kind}")
    return value


@blaming
def check_download(component: Component, value: Download, asked: Collection[str]) -> Download:
    """Return the result of a download if it was asked for and is what it says.

    Its ``sha256`` and ``format`` name a file of the run directory, and a filter may judge it by its
    ``md5``, so they are not taken on trust. Bytes that hashed themselves are not hashed again.

    Raises:
        RunError: It is of another URL, or of one that was answered already, or its content, size,
            hash or format are missing or wrong.
    """
    of_type(component, value, Download)
    of_type(component, value.url, str, "url")
    if value.url not in asked:
        raise fail(component, f"a download of {value.url!r}, which was not asked for")
    if not isinstance(value.status, DownloadStatus):
        raise fail(component, f"a DownloadStatus wanted, got {value.status!r}")
    _check_answer(component, value)
    if not value.status.has_image:
        return value
    sized = all(
        type(side) is int and 0 < side <= LAST_INT32 for side in (value.width, value.height)
    )
    known = isinstance(value.format, str) and value.format in FORMATS
    if not isinstance(value.content, bytes) or not sized or not known:
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


def _check_answer(component: Component, value: Download) -> None:
    """Refuse what a table of downloads cannot hold."""
    of_type(component, value.reason, str, "reason")
    for name, cleaner in (("reason", clean), ("final_url", clean_url), ("format", clean)):
        text = getattr(value, name)
        if text is not None and (not isinstance(text, str) or cleaner(text)[1]):
            raise fail(component, f"{value.url!r}: the {name} {text!r} is no plain text")
    for name in ("http_code", "width", "height"):
        number = getattr(value, name)
        if number is not None and (type(number) is not int or abs(number) > LAST_INT32):
            raise fail(component, f"{value.url!r}: the {name} {number!r} is no number of 32 bits")
    for name in ("sha256", "md5"):
        if not isinstance(getattr(value, name), str | None):
            raise fail(component, f"{value.url!r}: the {name} is no text")
    if not isinstance(value.fetched_at, datetime | None):
        raise fail(component, f"{value.url!r}: fetched_at is no time")


@blaming
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
    value.validate(full=True)  # texts that are not UTF-8, among others
    for name in value.column_names:
        column = value[name]
        while pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            column = pc.list_flatten(column)
        if pa.types.is_floating(column.type) and pc.all(pc.is_finite(column)).as_py() is False:
            raise fail(component, f"the column {name!r} has numbers that are not finite, not null")
    return value


@blaming
def check_verdict(component: Component, value: Verdict, rows: int) -> Verdict:
    """Return the verdict if it judges so many rows and says why it drops those that it drops.

    The reasons are texts that a table can hold; those of the rows that are kept are empty.

    Raises:
        RunError: It does not.
    """
    of_type(component, value, Verdict)
    if len(value.mask) != rows:
        raise fail(component, f"{rows} verdicts wanted, got {len(value.mask)}")
    _refuse_masked(component, value.mask)
    reasons = []
    for kept, reason in zip(value.mask.tolist(), value.reasons, strict=True):
        if not kept and (not isinstance(reason, str) or not reason):
            raise fail(component, f"a row is dropped for the reason {reason!r}")
        reasons.append("" if kept else clean(reason)[0] or "")
    return Verdict(value.mask, reasons)


@blaming
def check_tags(component: Component, value: LanguageTags, rows: int) -> LanguageTags:
    """Return the tags if there is one for each text, with a confidence of 0..1.

    Raises:
        RunError: They are not.
    """
    of_type(component, value, LanguageTags)
    if len(value.codes) != rows:
        raise fail(component, f"{rows} tags wanted, got {len(value.codes)}")
    _refuse_masked(component, value.scores)
    if not ((value.scores >= 0) & (value.scores <= 1)).all():
        raise fail(component, "confidences of 0..1 wanted")
    for code, score in zip(value.codes, value.scores.tolist(), strict=True):
        if code is None and score != 0:
            raise fail(component, f"a text without a language has the confidence {score}, not 0")
        if code is not None and not _is_code(code):
            raise fail(component, f"a language code or None wanted, got {code!r}")
    return value


def _is_code(code: object) -> bool:
    short = isinstance(code, str) and 0 < len(code) <= LONGEST_CODE
    return short and str(code).isprintable()


@blaming
def check_revision(component: Component, value: str) -> str:
    """Return the revision if it is a name.

    Raises:
        RunError: It is not.
    """
    of_type(component, value, str)
    if not value.strip():
        raise fail(component, "the revision is empty")
    if not value.isprintable():
        raise fail(component, f"the revision {value!r} is no name")
    return value
