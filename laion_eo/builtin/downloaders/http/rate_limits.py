"""How fast one host is asked: so many connections, so much time between requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.types import DownloadStatus

REMEMBERED = 4096
"""Hosts remembered before the idle ones are forgotten."""


@dataclass(slots=True)
class _Host:
    """What is known of one host; times are on the loop's clock.

    Attributes:
        connections: Those that it has left.
        delay: Seconds between the starts of two requests.
        free_at: When the next request may start.
        refused_until: Until when requests are refused at once.
        users: Requests that hold a connection, or wait for one.
    """

    connections: asyncio.Semaphore
    delay: float
    free_at: float = 0.0
    refused_until: float = 0.0
    users: int = field(default=0)


class RateLimits:
    """The rate limits of all hosts.

    Args:
        total: Requests at a time, all hosts together.
        per_host: Requests at a time to one host.
        delay: Seconds between the starts of two requests to one host.
        remembered: Hosts remembered before the idle ones are forgotten.
    """

    def __init__(
        self, total: int, per_host: int, delay: float, remembered: int = REMEMBERED
    ) -> None:
        self._slots = asyncio.Semaphore(total)
        self._per_host = per_host
        self._delay = delay
        self._remembered = remembered
        self._hosts: dict[str, _Host] = {}

    @property
    def host_count(self) -> int:
        """How many hosts are remembered."""
        return len(self._hosts)

    @asynccontextmanager
    async def connection(self, name: str) -> AsyncIterator[None]:
        """Wait until this host may be asked, and hold one of its connections during the block.

        Raises:
            RefusedError: ``rate-limited``: the host asked us to back off for longer than we wait.
        """
        host = self._host(name)
        host.users += 1
        try:
            async with host.connections:
                await _wait(host)
                async with self._slots:
                    yield
        finally:
            host.users -= 1

    def throttle(self, name: str, delay: float) -> None:
        """Leave at least this many seconds between two requests to a host."""
        host = self._host(name)
        host.delay = max(host.delay, delay)

    def back_off(self, name: str, seconds: float, refuse: bool) -> None:
        """Send a host nothing for a while: what waits for it waits longer, or is refused."""
        until = asyncio.get_running_loop().time() + seconds
        host = self._host(name)
        host.free_at = max(host.free_at, until)
        if refuse:
            host.refused_until = max(host.refused_until, until)

    def _host(self, name: str) -> _Host:
        found = self._hosts.get(name)
        if found is None:
            if len(self._hosts) >= self._remembered:
                self._forget()
            found = _Host(asyncio.Semaphore(self._per_host), self._delay)
            self._hosts[name] = found
        return found

    def _forget(self) -> None:
        """Drop the hosts of which nothing needs to be known: neither in use nor to be spared."""
        now = asyncio.get_running_loop().time()
        self._hosts = {n: h for n, h in self._hosts.items() if h.users or h.free_at > now}


async def _wait(host: _Host) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        now = clock()
        if host.refused_until > now:
            left = host.refused_until - now
            reason = f"the host asked us to back off for {left:.0f} s more"
            raise RefusedError(DownloadStatus.RATE_LIMITED, reason)
        if host.free_at <= now:
            host.free_at = now + host.delay
            return
        await asyncio.sleep(host.free_at - now)
