"""Third-party text: what no table, card or terminal can hold is replaced once, where it enters.

A caption keeps every character that a person can have meant: emoji, combining marks, joiners, marks
of direction, unassigned and private characters, tab and line breaks. Replaced by U+FFFD are

- bytes that are not UTF-8, and lone surrogates (those that make a pair become the character),
- control characters: C0 but for tab and line breaks, DEL, C1,
- Unicode's noncharacters,
- embeddings, overrides and isolates of direction (U+202A to U+202E, U+2066 to U+2069) that lack
  their other half: they would turn round what stands beside the caption. Pairs stay.

A caption of more than :data:`LONGEST` characters is truncated, and ends in an ellipsis.

A URL is never repaired, because that could make it another one. Control characters and spaces at
its ends are dropped, as every parser of URLs does. With such characters inside, or with more than
:data:`LONGEST_URL` characters, it becomes ``about:invalid#`` and what was there, percent-encoded:
no downloader fetches that, and it is listed among the failures as what it is.

Cleaning what is clean returns it unchanged, byte by byte.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST = 100_000
"""Characters of the longest caption."""
LONGEST_URL = 65_536
"""Characters of the longest URL; servers and browsers take far fewer."""
INVALID_URL = "about:invalid#"
"""What a URL begins with that cannot be one."""
REPLACEMENT = "\ufffd"
_SHOWN = 1000
"""Characters that are kept of a URL that cannot be one."""

_SURROGATES = (0xD800, 0xDFFF)
_NONCHARACTERS = [(0xFDD0, 0xFDEF)] + [(p << 16 | 0xFFFE, p << 16 | 0xFFFF) for p in range(17)]
_CONTROLS = [(0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F)]
_DIRECTIONS = [(0x202A, 0x202E), (0x2066, 0x2069)]
_IN_NO_URL = [(0x00, 0x1F), (0x7F, 0x9F), *_NONCHARACTERS, *_DIRECTIONS]
_OPENERS = {"\u202a": "\u202c", "\u202b": "\u202c", "\u202d": "\u202c", "\u202e": "\u202c",
            "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}  # fmt: skip
_ENDS_OF_URL = "".join(map(chr, range(0x21)))

Cleaner = Callable[[str | bytes | None], tuple[str | None, bool]]


def _python(ranges: Iterable[tuple[int, int]]) -> re.Pattern[str]:
    return re.compile("[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges) + "]")


def _re2(ranges: Iterable[tuple[int, int]]) -> str:
    """Return the same for Arrow, which has RE2."""
    return "[" + "".join(f"\\x{{{a:x}}}-\\x{{{b:x}}}" for a, b in ranges) + "]"


_REPLACED = _python([*_CONTROLS, *_NONCHARACTERS])
_SURROGATE = _python([_SURROGATES])
_DIRECTION = _python(_DIRECTIONS)
_NOT_IN_URL = _python([*_IN_NO_URL, _SURROGATES])


def clean(text: str | bytes | None) -> tuple[str | None, bool]:
    r"""Return a caption as it can be kept, and whether that differs from what it was.

    Args:
        text: Characters, lone surrogates among them, or bytes that should be UTF-8.

    Examples:
        >>> clean("café"), clean(b"caf\xe9"), clean(None)
        (('café', False), ('caf\ufffd', True), (None, False))
    """
    if text is None:
        return None, False
    # No character has more than four bytes, so a longer text stays longer than LONGEST.
    start, repaired = (
        _decoded(text[: 4 * LONGEST + 4]) if isinstance(text, bytes) else (text, False)
    )
    if len(start) > LONGEST:
        start, repaired = start[: LONGEST - 1] + "…", True
    found = _without_surrogates(start)
    found = _REPLACED.sub(REPLACEMENT, found)
    if _DIRECTION.search(found):
        found = _with_paired_directions(found)
    return found, repaired or found != start


def clean_url(url: str | bytes | None) -> tuple[str | None, bool]:
    r"""Return a URL as it can be kept, and whether that differs from what it was.

    Args:
        url: Characters, lone surrogates among them, or bytes that should be UTF-8.

    Examples:
        >>> clean_url("http://a/b.jpg\n"), clean_url("http://a/\0.jpg")
        (('http://a/b.jpg', True), ('about:invalid#http://a/%00.jpg', True))
    """
    if url is None:
        return None, False
    found = url.decode("utf-8", "surrogateescape") if isinstance(url, bytes) else url
    if _is_url(found):
        return found, False
    stripped = found.strip(_ENDS_OF_URL)
    if _is_url(stripped):
        return stripped, True
    return INVALID_URL + quote(_bytes(stripped[:_SHOWN]), safe="/:?&=#@%"), True


def one_line(said: object, longest: int = 4000) -> str:
    """Return what something says of itself as one line that a terminal can show.

    Args:
        said: A text, or an exception; its own code may fail.
        longest: Characters after which it is truncated.
    """
    try:
        text = str(said)
    except Exception as error:  # noqa: BLE001 - third-party code may raise anything
        text = f"({type(said).__name__}, whose text cannot be had: {type(error).__name__})"
    line = " ".join((clean(text)[0] or "").split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def text_of(value: object) -> str | None:
    """Return a JSON value as a text: numbers as they are written, ``None`` for what is no text.

    Examples:
        >>> text_of("a"), text_of(7), text_of(float("nan")), text_of(["a"])
        ('a', '7', None, None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return None


def parse_json(content: bytes) -> Any:
    """Return what a JSON text says, if it says it in one way.

    Bytes that are not UTF-8 become lone surrogates, which :func:`clean` replaces where they are
    part of a text. A ``charset`` that a server names means nothing in JSON (RFC 8259).

    Args:
        content: UTF-8, or UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        ValueError: It is no complete JSON, says a key twice, or is nested too deeply.
    """
    encoding = json.detect_encoding(content)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass"
    try:
        return json.loads(content.decode(encoding, errors), object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice in an object")
    return found


def raw_texts(values: Iterable[str | bytes | None]) -> pa.Array:
    """Return texts as an Arrow array of strings, whether or not they are UTF-8.

    What is no UTF-8 stays as it is until :func:`clean_texts` or :func:`clean_urls` has counted it.

    Args:
        values: Characters, lone surrogates among them, or bytes.
    """
    import pyarrow as pa

    found = [_bytes(value) if isinstance(value, str) else value for value in values]
    return as_texts(pa.array(found, pa.large_binary()))


def as_texts(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return a column as strings, ``large_string``, whether or not they are UTF-8.

    Args:
        column: Strings, bytes, numbers, or a dictionary of them.

    Raises:
        pyarrow.ArrowException: Its type has no texts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    options = pc.CastOptions(pa.large_string(), allow_invalid_utf8=True)
    return pc.cast(column, options=options)


def clean_texts(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """Return a column of captions as they can be kept, and how many differ from what they were.

    Args:
        column: Of strings, whether or not they are UTF-8.
    """
    return _cleaned(column, _re2([*_CONTROLS, *_NONCHARACTERS, *_DIRECTIONS]), LONGEST, clean)


def clean_urls(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """Return a column of URLs as they can be kept, and how many differ from what they were.

    Args:
        column: Of strings, whether or not they are UTF-8.
    """
    return _cleaned(column, _re2(_IN_NO_URL), LONGEST_URL, clean_url)


def _cleaned(
    column: pa.ChunkedArray, odd: str, longest: int, cleaner: Cleaner
) -> tuple[pa.ChunkedArray, int]:
    import pyarrow as pa

    chunks, repaired = [], 0
    for chunk in column.chunks:
        found, count = _cleaned_chunk(chunk, odd, longest, cleaner)
        chunks.append(found)
        repaired += count
    return pa.chunked_array(chunks, column.type), repaired


def _cleaned_chunk(
    chunk: pa.Array, odd: str, longest: int, cleaner: Cleaner
) -> tuple[pa.Array, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    stored = chunk.cast(pa.large_binary())
    if _is_utf8(chunk):
        suspect = pc.or_(
            pc.match_substring_regex(chunk, odd),
            pc.greater(pc.binary_length(stored), longest),
        )
        rows = pc.indices_nonzero(suspect).to_pylist()
    else:
        rows = range(len(chunk))
    changed: dict[int, str] = {}
    for row in rows:
        text, differs = cleaner(stored[row].as_py())
        if differs and text is not None:
            changed[row] = text
    if not changed:
        return chunk, 0
    mask = pa.array([row in changed for row in range(len(chunk))])
    texts = pa.array([changed[row] for row in sorted(changed)], chunk.type)
    return pc.replace_with_mask(chunk, mask, texts), len(changed)


def _is_utf8(chunk: pa.Array) -> bool:
    import pyarrow as pa

    try:
        chunk.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_url(text: str) -> bool:
    return len(text) <= LONGEST_URL and not _NOT_IN_URL.search(text)


def _bytes(text: str) -> bytes:
    """Return the bytes of a text: those that it was read from, where they were not UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> tuple[str, bool]:
    """Return the text of bytes, and whether they were not UTF-8."""
    try:
        return content.decode(), False
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("utf-8", "surrogatepass"), True
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace"), True


def _without_surrogates(text: str) -> str:
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _with_paired_directions(text: str) -> str:
    """Replace the marks of direction that lack their other half."""
    unpaired: set[int] = set()
    opened: list[tuple[str, int]] = []
    for found in _DIRECTION.finditer(text):
        mark, place = found[0], found.start()
        if mark in _OPENERS:
            opened.append((_OPENERS[mark], place))
        elif opened and opened[-1][0] == mark:
            opened.pop()
        else:
            unpaired.add(place)
    unpaired |= {place for _, place in opened}
    if not unpaired:
        return text
    return "".join(REPLACEMENT if n in unpaired else char for n, char in enumerate(text))
