"""The pictures of a report: which of them may be published.

A picture is what its content says, whole and with nothing behind it. An SVG is a document that
browsers run, so only what draws is allowed in one: no script, no handler, nothing from elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.parsers import expat

from laion_eo.errors import DataError
from laion_eo.images import ImageError, decode_image, inspect_image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
"""Pictures by the ending of their name, as Pillow calls them; and SVG."""
SVG = ".svg"
MAX_PIXELS = 50_000_000
_DRAWS = frozenset((
    "svg", "g", "defs", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text",
    "tspan", "textPath", "use", "symbol", "marker", "clipPath", "mask", "pattern", "linearGradient",
    "radialGradient", "stop", "filter", "image", "style", "title", "desc", "metadata", "switch",
))  # fmt: skip
"""Elements of SVG that may stand in a picture, beside the effects of filters (``fe...``)."""
_NAMESPACE = "http://www.w3.org/2000/svg"
_ABOUT = ("http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://creativecommons.org/ns#",
          "http://purl.org/dc/elements/1.1/")  # fmt: skip
"""Namespaces of what describes a picture, and draws nothing."""
_INSIDE = re.compile(r"#[^\s]*|data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/=\s]*")
_URL = re.compile(r"url\(\s*[\"']?\s*(?!#)", re.IGNORECASE)
_SCRIPT = re.compile(r"(?:java|vb)script\s*:", re.IGNORECASE)
# A backslash can spell any of them; image-set takes an address without url().
_STYLE = re.compile(
    r"@import|expression\s*\(|-moz-binding|behavior\s*:|image-set|\\", re.IGNORECASE
)
_BETWEEN = "\x1f"
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK_FRAME = 12
"""Bytes of a chunk beside its content: length, name, checksum."""


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the pictures below a folder, in order.

    Raises:
        DataError: The folder, a folder in it or a picture is a link.
    """
    if folder.is_symlink():
        raise DataError(f"{folder}: it is a link; a release publishes no links: remove it.")
    found = []
    for place, folders, files in os.walk(folder):
        names = [name for name in files if Path(name).suffix.lower() in (*FORMATS, SVG)]
        for name in (*folders, *names):
            if Path(place, name).is_symlink():
                raise DataError(
                    f"{Path(place, name)}: it is a link; a release publishes no links: remove it."
                )
        found += [Path(place, name) for name in names]
    return tuple(sorted(found))


def check_picture(ending: str, content: bytes) -> str | None:
    """Return why a picture must not be published; ``None`` if it may.

    Args:
        ending: Of its name, such as ``.png``.
        content: The complete file.
    """
    if ending.lower() == SVG:
        return _fault_of_svg(content)
    wanted = FORMATS[ending.lower()]
    try:
        found = inspect_image(content, MAX_PIXELS).format
        decode_image(content, MAX_PIXELS)
    except ImageError:  # whose message may quote the content
        return f"not a {wanted} of up to {MAX_PIXELS:,} pixels"
    if found != wanted:
        return f"not a {wanted}, but a {found}"
    return None if _ends(wanted, content) else "something stands behind its end"


def _ends(kind: str, content: bytes) -> bool:
    """Tell whether a file ends where its picture does."""
    if kind == "WEBP":
        size = int.from_bytes(content[4:8], "little") + 8
        return len(content) in (size, size + size % 2)
    if kind == "JPEG":
        return content.endswith(b"\xff\xd9")
    place, chunk = len(_PNG), b""
    while chunk != b"IEND" and place < len(content):
        chunk = content[place + 4 : place + 8]
        place += int.from_bytes(content[place : place + 4]) + _CHUNK_FRAME
    return place == len(content)


class _UnsafeError(Exception):
    """What is not allowed in an SVG."""


def _fault_of_svg(content: bytes) -> str | None:
    guard = _SvgGuard()
    parser = expat.ParserCreate(namespace_separator=_BETWEEN)
    parser.StartElementHandler = guard.begin
    parser.EndElementHandler = guard.end
    parser.CharacterDataHandler = guard.text
    parser.EntityDeclHandler = guard.entity
    parser.ProcessingInstructionHandler = guard.instruction
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        return f"not an SVG: {error}"
    except _UnsafeError as error:
        return f"an SVG with {error}"
    return None


class _SvgGuard:
    """Raises :class:`_UnsafeError` for the first thing in an SVG that does more than draw."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._style = ""

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(_BETWEEN)
        draws = namespace in ("", _NAMESPACE) and (name in _DRAWS or name.startswith("fe"))
        if not (self._open or (draws and name == "svg")):
            raise _UnsafeError(f"a root {name!r}")
        if not draws and namespace not in _ABOUT:
            raise _UnsafeError(f"an element {name!r}")
        self._open.append(name)
        for key, value in attributes.items():
            _check_attribute(key.rpartition(_BETWEEN)[2].lower(), value, draws)

    def end(self, _: str) -> None:
        if self._open.pop() == "style":
            _check_style(self._style)
            self._style = ""

    def text(self, text: str) -> None:
        if self._open[-1] == "style":  # comes in pieces
            self._style += text

    def entity(self, *_: object) -> None:
        raise _UnsafeError("an entity")

    def instruction(self, *_: object) -> None:
        raise _UnsafeError("a processing instruction")


def _check_attribute(name: str, value: str, draws: bool) -> None:
    if name.startswith("on"):
        raise _UnsafeError(f"a handler {name!r}")
    if draws and name in ("href", "src") and not _INSIDE.fullmatch(value.strip()):
        raise _UnsafeError("something from elsewhere")
    if name == "style":
        _check_style(value)
    elif _URL.search(value) or _SCRIPT.search(value):
        raise _UnsafeError("something from elsewhere, or a script")


def _check_style(text: str) -> None:
    if _URL.search(text) or _SCRIPT.search(text) or _STYLE.search(text):
        raise _UnsafeError("a style with something from elsewhere")
