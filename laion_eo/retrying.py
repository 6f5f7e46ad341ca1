"""When to retry, and how long to wait before: one policy for the Hub, services and downloads.

Each caller keeps its own short loop, because what is worth a retry, and what a failure is called,
differs; how often, how long and what a server's Retry-After means is decided here alone.

Why not a library: stamina, the one that fits best (its hook may return a wait, sync and async),
is made for applications. Its logging and its switches (``set_active``, ``set_testing``,
``set_on_retry_hooks``) belong to the whole process, in which laion-eo is a guest: by default each
retried URL of millions would log a line, and another package could switch our retries off. The
policy is the part that remains, and it is small.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 366 * 86_400.0
"""Seconds: a server that asks for more is taken to ask for a year. Nobody waits for either."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often something that failed is tried again, and after how many seconds.

    Attributes:
        tries: Tries in all, the first included.
        first_wait: Seconds before the second try; doubled from try to try.
        longest_wait: Upper bound of every wait, in seconds. A server that asks for a longer one
            is not waited for at all: asking it earlier than it wants is no use, and rude.
        jitter: 0..1, the share by which waits of our own vary, so that clients that failed
            together do not come back together.
    """

    tries: int
    first_wait: float
    longest_wait: float
    jitter: float = 0.0

    def wait(self, failed: int, asked: float | None = None) -> float | None:
        """Return how long to wait before the next try.

        Args:
            failed: Tries that have failed so far, 1 or more.
            asked: Seconds that the server asks for, of :func:`retry_after`.

        Returns:
            Seconds, never fewer than ``asked``; ``None`` if there is to be no further try.
        """
        if failed >= self.tries or (asked or 0.0) > self.longest_wait:
            return None
        # A float overflows at 2 ** 1024; whoever retries so often has met the bound long before.
        wait = self.first_wait * 2.0 ** min(failed - 1, 1000)
        if self.jitter:
            wait *= random.uniform(1.0 - self.jitter, 1.0 + self.jitter)
        return max(asked or 0.0, min(wait, self.longest_wait))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for.

    Args:
        value: The header (RFC 9110, section 10.2.3): seconds, or a date.
        now: What time it is, with a time zone; the clock's by default.

    Returns:
        0 (a date that has passed) to :data:`LONGEST`; ``None`` where the header is missing or is
        neither a number nor a date.

    Examples:
        >>> retry_after("120"), retry_after("soon")
        (120.0, None)
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST)
    try:
        date = parsedate_to_datetime(text)
        # "-0000" and a missing zone both leave the date without one; HTTP's dates are all GMT.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        wait = (date - (now or datetime.now(UTC))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):  # what odd dates raise
        return None
    return min(max(wait, 0.0), LONGEST)
