"""Which URL is next: a few lanes per host, so that a slow host holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from queue import SimpleQueue

from yarl import URL

from laion_eo.builtin.downloaders.http.body import Room
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.types import Download

WINDOW = 16
"""URLs looked ahead, for each request at a time: hosts among them take turns."""
HANDOFF_BYTES = 64 * 2**20
HANDOFF_ITEMS = 1024


class Handoff:
    """Results on their way from the event loop to the thread that asked, bounded in bytes."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Download | BaseException | None] = SimpleQueue()
        self._bytes = 0
        self._lock = threading.Lock()

    async def put(self, download: Download) -> None:
        """Hand over one result, waiting while there is too much of them."""
        while self._bytes > HANDOFF_BYTES or self._queue.qsize() > HANDOFF_ITEMS:
            await asyncio.sleep(0.005)
        with self._lock:
            self._bytes += len(download.content or b"")
        self._queue.put(download)

    def end(self, error: BaseException | None = None) -> None:
        """Say that there is no more, or why."""
        self._queue.put(error)

    def take(self) -> Download | None:
        """Return the next result, or ``None`` at the end; called from the other thread.

        Raises:
            BaseException: What the event loop's thread died of.
        """
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        if item is not None:
            with self._lock:
                self._bytes -= len(item.content or b"")
        return item


class Lanes:
    """Works through URLs, each host in lanes of its own.

    Args:
        fetcher: Fetches one.
        room: The memory for bodies.
        handoff: Where results go.
    """

    def __init__(self, fetcher: Fetcher, room: Room, handoff: Handoff) -> None:
        self._fetcher = fetcher
        self._room = room
        self._handoff = handoff
        self._waiting: dict[str, deque[str]] = {}
        self._lanes: dict[str, int] = {}

    async def run(self, urls: Iterable[str], requests: int, per_host: int) -> None:
        """Fetch all URLs.

        Args:
            urls: The URLs.
            requests: Requests at a time.
            per_host: Requests at a time to one host.
        """
        window = asyncio.Semaphore(requests * WINDOW)
        async with asyncio.TaskGroup() as group:
            for url in urls:
                await window.acquire()
                host = _host(url)
                self._waiting.setdefault(host, deque()).append(url)
                if self._lanes.get(host, 0) < per_host:
                    self._lanes[host] = self._lanes.get(host, 0) + 1
                    group.create_task(self._lane(host, window))

    async def _lane(self, host: str, window: asyncio.Semaphore) -> None:
        waiting = self._waiting[host]
        while waiting:
            url = waiting.popleft()
            async with self._room.place() as place:
                await self._handoff.put(await self._fetcher.fetch(url, place))
            window.release()
        self._lanes[host] -= 1
        if not self._lanes[host]:
            del self._lanes[host], self._waiting[host]


def _host(url: str) -> str:
    try:
        return URL(url).host or ""
    except (ValueError, IndexError):
        return ""
