"""Which URL is next: each host has its own few workers, so that a slow one delays nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from queue import SimpleQueue

from yarl import URL

from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.types import Download

WINDOW = 16
"""URLs read ahead for each request at a time: the hosts among them take turns."""
QUEUE_BYTES = 64 * 2**20
"""Bytes of images that may wait for whoever stores them."""
QUEUE_ITEMS = 48
"""Results that may, however small: they are lost if the process is killed."""
POLL = 0.005
"""Seconds between two checks of a full queue."""


class ResultQueue:
    """Results from the event loop for the thread that asked, bounded in bytes.

    Args:
        max_bytes: Bytes of images, beyond which the event loop waits.
        max_items: Results, likewise.
    """

    def __init__(self, max_bytes: int = QUEUE_BYTES, max_items: int = QUEUE_ITEMS) -> None:
        self._max_bytes = max_bytes
        self._max_items = max_items
        self._queue: SimpleQueue[Download | BaseException | None] = SimpleQueue()
        self._bytes = 0
        self._lock = threading.Lock()

    async def put(self, download: Download) -> None:
        """Add one result, waiting while there are too many."""
        while self._bytes > self._max_bytes or self._queue.qsize() > self._max_items:
            await asyncio.sleep(POLL)
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


class Scheduler:
    """Works through URLs, with workers of its own for each host.

    Args:
        fetcher: Fetches one URL.
        memory: What bodies may take.
        results: Where results go.
    """

    def __init__(self, fetcher: Fetcher, memory: MemoryBudget, results: ResultQueue) -> None:
        self._fetcher = fetcher
        self._memory = memory
        self._results = results
        self._pending: dict[str, deque[str]] = {}
        self._workers: dict[str, int] = {}

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
                self._pending.setdefault(host, deque()).append(url)
                if self._workers.get(host, 0) < per_host:
                    self._workers[host] = self._workers.get(host, 0) + 1
                    group.create_task(self._work(host, window))

    async def _work(self, host: str, window: asyncio.Semaphore) -> None:
        """Fetch pending URLs of one host until there are none."""
        pending = self._pending[host]
        while pending:
            url = pending.popleft()
            async with self._memory.reservation() as reservation:
                await self._results.put(await self._fetcher.fetch(url, reservation))
            window.release()
        self._workers[host] -= 1
        if not self._workers[host]:
            del self._workers[host], self._pending[host]


def _host(url: str) -> str:
    try:
        return URL(url).host or ""
    except (ValueError, IndexError):
        return ""
