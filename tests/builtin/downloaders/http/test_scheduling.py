from __future__ import annotations

import asyncio
import time

import pytest
from fakes.hostile_exchange import head
from fakes.hostile_files import encoded, photo
from fakes.loopback import serve_connections
from sites import Loopback

from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.downloaders.http.scheduling import ResultQueue, Scheduler
from laion_eo.builtin.event_loop import in_thread
from laion_eo.builtin.hash_lists import HashList
from laion_eo.types import Download, DownloadStatus

JPEG = encoded(photo(), "JPEG")


def test_a_full_queue_holds_the_event_loop_back() -> None:
    """However slowly results are taken: only so many bytes of them wait."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(head(200, f"Content-Length: {len(JPEG)}") + JPEG)

    results = ResultQueue(max_bytes=10 * len(JPEG))
    options = HttpOptions(delay=0.0, robots_txt=False, tdm_reservation=False)

    async def fetch(port: int) -> None:
        async with Client(options, RateLimits(4, 4, 0.0), Loopback(())) as client:
            memory = MemoryBudget(8, options.max_bytes)
            scheduler = Scheduler(Fetcher(client, HashList()), memory, results)
            urls = (f"http://one.test:{port}/{n}.jpg" for n in range(300))
            await scheduler.run(urls, requests=4, per_host=4)

    with serve_connections(answer) as port, in_thread(fetch(port), "scheduler") as future:
        future.add_done_callback(lambda ended: results.end(ended.exception()))
        first = results.take()
        time.sleep(1.0)  # time for all 300, were there no bound
        ahead = asked
        rest = [results.take() for _ in range(299)]
        assert results.take() is None
    assert ahead < 40
    statuses = {got.status for got in (first, *rest) if got}
    assert (statuses, len(rest)) == ({DownloadStatus.OK}, 299)


def test_an_error_of_the_event_loop_reaches_whoever_takes() -> None:
    results = ResultQueue()
    asyncio.run(results.put(Download("a", DownloadStatus.EMPTY, "no bytes")))
    results.end(LookupError("gone"))
    got = results.take()
    assert got is not None and got.url == "a"
    with pytest.raises(LookupError, match="gone"):
        results.take()
