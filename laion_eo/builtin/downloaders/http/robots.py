"""robots.txt: which of its groups speak to us (RFC 9309), handed to protego as a single one.

protego matches paths. It takes any prefix of a robot's name for the name, ends a group at a
Crawl-delay and splits lines where Unicode does; so it is given the rules that apply to us alone,
under ``*``, in plain ASCII. docs/politeness.md says where the answers differ from Google's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from protego import Protego

LIMIT = 500 * 1024
"""Bytes that RFC 9309 wants to be read. What is beyond is ignored."""
WILDCARDS = 2000
"""Rules with ``*`` or ``$`` that are believed. Each costs time for each URL, and no site needs so
many: more are read as ``Disallow: /``."""
EVERYBODY = "*"

_BOMS = (b"\xef\xbb\xbf", b"\xef\xbb", b"\xef")
# The words as Google takes them, misspelt or followed by more letters, with a colon or without.
_RULE = re.compile(
    rb"(?:(?P<agent>user[- ]?agent)|(?P<allow>allow)"
    rb"|(?P<disallow>disallow|dissallow|dissalow|disalow|diasllow|disallaw)"
    rb"|(?P<delay>crawl[- ]delay))[^\s:]*(?:[ \t]*:|[ \t])[ \t]*(?P<value>.*)",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN = [chr(c) if 0x20 < c < 0x7F else f"%{c:02X}" for c in range(256)]
_TOKEN = re.compile(r"[A-Za-z_-]*")
_SPACE = b" \t\x0b\x0c"


@dataclass
class _Group:
    """Agents, and what they are told.

    Attributes:
        ours: Whether we are named.
        all: Whether everybody is.
        begun: Whether there was a rule: the next user agent is another group's then.
        rules: Such as ``Disallow: /a``.
        delay: Seconds between two requests: the longest that the group asks for.
    """

    ours: bool = False
    all: bool = False
    begun: bool = False
    rules: list[str] = field(default_factory=list)
    delay: float = 0.0


def parse_robots(content: bytes | str, token: str) -> Protego:
    r"""Read a robots.txt; ask the result about any name, as its rules are ours alone.

    Args:
        content: As it was sent; what is beyond :data:`LIMIT` is ignored.
        token: Our name: letters, ``-`` and ``_``.

    Examples:
        >>> robots = parse_robots("User-agent: laion-eo/2.1\nDisallow: /a", "laion-eo")
        >>> robots.can_fetch("https://example.org/a", "laion-eo")
        False
    """
    body = content.encode("utf-8", "replace") if isinstance(content, str) else content
    groups = list(_groups(_lines(body), token.lower()))
    meant = [group for group in groups if group.ours] or [group for group in groups if group.all]
    # Each rule once: their order means nothing, and to repeat one costs its reader.
    rules = dict.fromkeys(rule for group in meant for rule in group.rules)
    if sum("*" in rule or "$" in rule for rule in rules) > WILDCARDS:
        rules = dict.fromkeys(["Disallow: /"])
    delay = max((group.delay for group in meant), default=0.0)
    return Protego.parse("\n".join(["User-agent: *", f"Crawl-delay: {delay!r}", *rules]))


def _groups(lines: Iterator[bytes], token: str) -> Iterator[_Group]:
    """Yield the groups; lines before the first one, and unknown ones, say nothing."""
    group = None
    for line in lines:
        found = _RULE.match(line)
        if found is None:
            continue
        value = found["value"].strip(_SPACE)
        kind = next(name for name in ("agent", "allow", "disallow", "delay") if found[name])
        if kind == "agent":
            if group is None or group.begun:
                if group is not None:
                    yield group
                group = _Group()
            _name(group, value, token)
        elif group is not None and kind == "delay":
            group.delay = max(group.delay, _seconds(value))  # no rule of the RFC's: it ends nothing
        elif group is not None:
            group.begun = True
            if value:
                group.rules.append(f"{kind.capitalize()}: {_plain(value)}")
    if group is not None:
        yield group


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines without comments; CR, LF or both end one."""
    cut = len(body) > LIMIT
    body = body[:LIMIT]
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        body = body.decode("utf-16", "replace").encode("utf-8", "replace")
    bom = next((bom for bom in _BOMS if body.startswith(bom)), b"")
    lines = re.split(rb"[\r\n]", body.removeprefix(bom))
    if cut and not lines[-1].lstrip(_SPACE).lower().startswith(b"dis"):
        del lines[-1]  # half a name or half an Allow says more than the whole one
    for line in lines:
        # What stands behind a NUL is read by nobody.
        yield line.lstrip(b"\0").partition(b"\0")[0].partition(b"#")[0].strip(_SPACE)


def _name(group: _Group, value: bytes, token: str) -> None:
    """Note whom a User-agent line names."""
    text = value.decode("latin-1")
    if text[:1] == EVERYBODY and not text[1:2].strip():
        group.all = True
    found = _TOKEN.match(text)
    if found and found[0] and found[0].lower() == token:
        group.ours = True


def _seconds(value: bytes) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def _plain(value: bytes) -> str:
    """Return a pattern in ASCII: everything else, and control characters, percent-encoded."""
    return "".join(map(_PLAIN.__getitem__, value))
