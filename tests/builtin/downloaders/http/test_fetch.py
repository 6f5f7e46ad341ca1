from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from sites import JPEG, Answer, Loopback, download, site

from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.hash_lists import HashList
from laion_eo.component import Context
from laion_eo.types import DownloadStatus


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_waited_for(code: int) -> None:
    with site({"/a.jpg": Answer(code, b"", ("Retry-After: 1",))}) as served:
        served.later["/a.jpg"] = Answer(200, JPEG)
        assert download(served, ["/a.jpg"], retries=1)["/a.jpg"].status is DownloadStatus.OK
    first, second = served.times()
    assert second - first > 0.95  # waiting is never shorter, whatever the machine


def test_retry_after_may_be_a_date() -> None:
    date = datetime.now(UTC) + timedelta(seconds=2)
    header = f"Retry-After: {format_datetime(date, usegmt=True)}"
    with site({"/a.jpg": Answer(503, b"", (header,))}) as served:
        served.later["/a.jpg"] = Answer(200, JPEG)
        assert download(served, ["/a.jpg"], retries=1)["/a.jpg"].status is DownloadStatus.OK
        # The date is of whole seconds.
        assert datetime.now(UTC) >= date.replace(microsecond=0)
    assert len(served.times()) == 2


@pytest.mark.parametrize(
    "header", ["Retry-After: 31", "Retry-After: Fri, 01 Jan 2999 00:00:00 GMT"]
)
def test_a_longer_wait_than_the_run_s_is_not_begun(header: str) -> None:
    with site({"/a.jpg": Answer(503, b"", (header,))}) as served:
        got = download(served, ["/a.jpg"], retries=5, max_wait=30.0)["/a.jpg"]
    assert got.status is DownloadStatus.RATE_LIMITED
    assert "retry after" in got.reason
    assert len(served.times()) == 1


@pytest.mark.parametrize(
    ("switch", "header", "code", "status"),
    [
        ("x_robots_tag", "X-Robots-Tag: noai", 200, DownloadStatus.X_ROBOTS_TAG),
        ("tdm_reservation", "tdm-reservation: 1", 200, DownloadStatus.TDM_RESERVED),
        ("retry_after", "Retry-After: 3600", 429, DownloadStatus.RATE_LIMITED),
    ],
)
def test_each_header_can_be_ignored(
    switch: str, header: str, code: int, status: DownloadStatus
) -> None:
    with site({"/a.jpg": Answer(code, JPEG, (header,))}) as served:
        obeyed = download(served, ["/a.jpg"])["/a.jpg"]
        ignored = download(served, ["/a.jpg"], **{switch: False})["/a.jpg"]
    assert obeyed.status is status
    assert ignored.status is (DownloadStatus.OK if code == 200 else DownloadStatus.HTTP_ERROR)


def test_a_name_and_a_password_are_never_sent() -> None:
    """Neither those in a URL nor those that a redirect would have us use."""
    with site() as served:
        base = f"//someone:secret@127.0.0.1:{served.port}"
        served.files["/b.jpg"] = Answer(302, b"", (f"Location: http:{base}/c.jpg",))
        options = HttpDownloader.Config(allow_hosts=("127.0.0.1",), delay=0.0)
        downloader = HttpDownloader(options, Context())
        got = list(downloader.download([f"http:{base}/a.jpg", f"http:{base}/b.jpg"]))
    assert {one.status for one in got} == {DownloadStatus.OK}
    assert not any("secret" in str(one.final_url) for one in got)
    assert not any("authorization:" in head.lower() for head in served.heads)


def test_no_cookie_comes_back() -> None:
    """A site does not get to know us from one image to the next."""

    async def work(port: int) -> None:
        async with Client(HttpOptions(delay=0.0), RateLimits(8, 8, 0.0), Loopback(())) as client:
            fetcher, memory = Fetcher(client, HashList()), MemoryBudget(8, 2**20)
            for path in ("a.jpg", "b.jpg"):
                async with memory.reservation() as reservation:
                    got = await fetcher.fetch(f"http://pool.test:{port}/{path}", reservation)
                assert got.status is DownloadStatus.OK

    with site({"/a.jpg": Answer(200, JPEG, ("Set-Cookie: who=you",))}) as served:
        asyncio.run(work(served.port))
    assert not any("cookie:" in head.lower() for head in served.heads)
