"""Which rules of a robots.txt apply to us, as RFC 9309 (section 2.2.1) says it.

protego knows how paths are matched. It does not know whose rules they are as exactly: to it
``laion-eo/2.1`` is not us, ``laion`` is, and a line that it knows between two User-agent lines
begins another group. So it gets only the rules of our groups, as if they were for everybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from protego import Protego

_LINE_END = re.compile(r"\r\n|\n|\r")
_AGENT = re.compile(r"user[- ]?agent\s*(?::|\s)\s*(.*)", re.IGNORECASE)
_RULE = re.compile(r"(?:allow|disallow|dissallow|dissalow|disalow|diasllow|disallaw)\b", re.I)
"""Lines that end the list of a group's names: with protego's misspelt ones, which it obeys."""
_TOKEN = re.compile(r"[A-Za-z_-]+")
# What str.splitlines, and so protego, takes for the end of a line, and RFC 9309 does not. Left as
# it is, a path with one in it could begin a group of its own.
_NO_LINE_END = re.compile("[\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")


@dataclass
class _Group:
    """Names, and the lines that follow them."""

    names: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    has_rules: bool = False


def parse_robots(text: str, token: str) -> Protego:
    r"""Read a robots.txt; ask the result about any name, as its rules are ours alone.

    Args:
        text: The file.
        token: Our product token, in lower case.

    Examples:
        >>> robots = parse_robots("User-agent: laion-eo/2.1\nDisallow: /a", "laion-eo")
        >>> robots.can_fetch("https://example.org/a", "*")
        False
    """
    groups = _groups(text)
    named = [group for group in groups if token in group.names]
    ours = named or [group for group in groups if "*" in group.names]
    lines = [line for group in ours for line in group.lines]
    return Protego.parse("\n".join(["User-agent: *", *lines]))


def _groups(text: str) -> list[_Group]:
    groups: list[_Group] = []
    for raw in _LINE_END.split(text):
        line = raw.partition("#")[0].strip()
        agent = _AGENT.fullmatch(line)
        if agent is not None:
            # Only a rule ends the list of names: a Crawl-delay between two of them does not.
            if not groups or groups[-1].has_rules:
                groups.append(_Group())
            groups[-1].names.add(_name(agent[1]))
        elif groups and line:
            groups[-1].has_rules |= _RULE.match(line) is not None
            groups[-1].lines.append(_NO_LINE_END.sub(_escaped, line))
    return groups


def _name(value: str) -> str:
    """Return the product token that a User-agent line begins with, or ``*`` for everybody."""
    if value.split(maxsplit=1)[:1] == ["*"]:
        return "*"
    token = _TOKEN.match(value)
    return token[0].lower() if token else ""


def _escaped(match: re.Match[str]) -> str:
    return quote(match[0])
