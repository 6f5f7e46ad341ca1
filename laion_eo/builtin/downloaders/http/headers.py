"""What a server says of itself in an answer's headers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
# Directives with a value: their colon does not end a robot's name.
_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


def opt_out(values: Iterable[str], token: str) -> str | None:
    """Return the first directive of X-Robots-Tag headers that keeps us out.

    Args:
        values: One for each header; ``noai, noindex`` or ``somebot: noai``.
        token: Our name, lower case.

    Examples:
        >>> opt_out(["googlebot: noindex", "nofollow, NoAI"], "laion-eo")
        'noai'
    """
    for value in values:
        ours = True
        for part in value.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and name.strip() not in _WITH_VALUE:
                ours = name.strip() in (token, "*")
                part = rest
            if ours and part.strip() in OPT_OUTS:
                return part.strip()
    return None


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for; ``None`` where it says nothing.

    Args:
        value: Seconds, or a date.
        now: What time it is; the clock's by default.

    Examples:
        >>> retry_after("120"), retry_after("soon")
        (120.0, None)
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
