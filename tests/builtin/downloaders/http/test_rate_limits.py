from __future__ import annotations

import asyncio

import pytest
from sites import Answer, Loopback, Site, download, site

from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.hash_lists import HashList
from laion_eo.types import Download, DownloadStatus


def test_a_host_has_few_connections_and_time_between_requests() -> None:
    with site() as served:
        download(served, [f"/{n}.jpg" for n in range(12)], per_host=2, delay=0.05)
    times = [when for _, when, _ in served.diary]
    assert served.most_open <= 2
    assert times[-1] - times[0] > 13 * 0.05 - 0.1  # robots.txt and tdmrep.json count too


def test_hosts_that_redirect_to_one_share_its_connections() -> None:
    async def work(served: Site) -> list[Download]:
        options = HttpOptions(robots_txt=False, tdm_reservation=False)
        async with Client(options, RateLimits(64, 2, 0.0), Loopback(())) as client:
            fetcher, memory = Fetcher(client, HashList()), MemoryBudget(64, 2**20)

            async def one(n: int) -> Download:
                target = f"Location: http://all.test:{served.port}/{n}.jpg"
                served.files[f"/{n}"] = Answer(302, b"", (target,))
                url = f"http://host{n}.test:{served.port}/{n}"
                async with memory.reservation() as reservation:
                    return await fetcher.fetch(url, reservation)

            return await asyncio.gather(*map(one, range(12)))

    with site() as served:
        found = asyncio.run(work(served))
    assert {got.status for got in found} == {DownloadStatus.OK}
    assert served.most_open == 2


def test_a_host_that_says_429_is_spared() -> None:
    with site({f"/{n}.jpg": Answer(429) for n in range(2)}) as served:
        got = download(served, [f"/{n}.jpg" for n in range(2)], retries=1, per_host=1)
    assert {one.status for one in got.values()} == {DownloadStatus.RATE_LIMITED}
    times = served.times()
    assert len(times) == 4
    assert times[-1] - times[0] > 3 * 0.5 - 0.1


def test_a_host_that_asks_for_an_hour_is_not_asked_for_its_other_images() -> None:
    with site({"/0.jpg": Answer(429, b"", ("Retry-After: 3600",))}) as served:
        got = download(served, [f"/{n}.jpg" for n in range(6)], per_host=1)
    assert {one.status for one in got.values()} == {DownloadStatus.RATE_LIMITED}
    assert len(served.times()) == 1


def test_a_crawl_delay_outlives_an_idle_host() -> None:
    """Rate limits forget hosts that rest; what their robots.txt wants still counts."""
    limits = RateLimits(8, 8, 0.0, remembered=1)

    async def work(port: int) -> None:
        async with (
            Client(HttpOptions(allow_hosts=("127.0.0.1",)), limits) as client,
            MemoryBudget(8, 2**20).reservation() as reservation,
        ):
            fetcher = Fetcher(client, HashList())
            await fetcher.fetch(f"http://127.0.0.1:{port}/0.jpg", reservation)
            await asyncio.sleep(0.35)
            limits.throttle("another.test", 0.0)  # a new host: the idle one is forgotten
            assert limits.host_count == 1
            for n in (1, 2):
                await fetcher.fetch(f"http://127.0.0.1:{port}/{n}.jpg", reservation)

    with site({"/robots.txt": Answer(200, b"User-agent: *\nCrawl-delay: 0.3\n")}) as served:
        asyncio.run(work(served.port))
    _, second, third = served.times()
    assert third - second > 0.28  # waiting is never shorter, whatever the machine
    assert served.paths().count("/robots.txt") == 1


def test_no_host_that_matters_is_forgotten() -> None:
    """Neither one that asked us to back off, nor one that is being asked."""

    async def work() -> None:
        limits = RateLimits(8, 1, 0.0, remembered=1)
        limits.back_off("spared.test", 60.0, refuse=True)
        async with limits.connection("busy.test"):
            for n in range(5):
                limits.throttle(f"idle{n}.test", 0.0)
            assert limits.host_count == 3  # those two, and the last one
            with pytest.raises(RefusedError, match="asked us to back off for 60 s more"):
                await limits.connection("spared.test").__aenter__()
            second = asyncio.ensure_future(limits.connection("busy.test").__aenter__())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not second.done()  # it has one connection, and that is taken
        await second

    asyncio.run(work())
