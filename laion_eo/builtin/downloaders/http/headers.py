"""X-Robots-Tag: what an answer's headers forbid."""

from __future__ import annotations

from collections.abc import Iterable

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
