from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sites import JPEG, Answer, Loopback, Site, download, site

from laion_eo.builtin.downloaders.http.body import Room
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.headers import opt_out, retry_after
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import Pace
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.hash_lists import HashList
from laion_eo.component import Context
from laion_eo.types import Download, DownloadStatus


def test_a_host_has_so_many_connections_and_so_much_peace() -> None:
    with site() as served:
        download(served, [f"/{n}.jpg" for n in range(12)], per_host=2, delay=0.05)
    times = [when for _, when, _ in served.diary]
    assert served.most_open <= 2
    assert times[-1] - times[0] > 13 * 0.05 - 0.1  # robots.txt and tdmrep.json count too


def test_hosts_that_redirect_to_one_share_its_connections() -> None:
    async def work(served: Site) -> list[Download]:
        options = HttpOptions(robots_txt=False, tdm_reservation=False)
        async with Client(options, Pace(64, 2, 0.0), Loopback(())) as client:
            fetcher, room = Fetcher(client, HashList()), Room(64, 2**20)

            async def one(n: int) -> Download:
                target = f"Location: http://all.test:{served.port}/{n}.jpg"
                served.files[f"/{n}"] = Answer(302, b"", (target,))
                async with room.place() as place:
                    return await fetcher.fetch(f"http://host{n}.test:{served.port}/{n}", place)

            return await asyncio.gather(*map(one, range(12)))

    with site() as served:
        found = asyncio.run(work(served))
    assert {got.status for got in found} == {DownloadStatus.OK}
    assert served.most_open == 2


def test_the_agent_says_who_and_why_and_gives_a_contact() -> None:
    with site() as served:
        download(served, ["/a.jpg"], contact="mailto:someone@example.org")
    agents = {agent for _, _, agent in served.diary}
    assert len(agents) == 1  # robots.txt is asked for under the same name
    assert "laion-eo/" in (agent := agents.pop())
    assert "research" in agent
    assert "mailto:someone@example.org" in agent


def test_a_host_that_says_429_is_left_alone() -> None:
    with site({f"/{n}.jpg": Answer(429) for n in range(2)}) as served:
        got = download(served, [f"/{n}.jpg" for n in range(2)], retries=1, per_host=1)
    assert {one.status for one in got.values()} == {DownloadStatus.RATE_LIMITED}
    times = served.times()
    assert len(times) == 4
    assert times[-1] - times[0] > 3 * 0.5 - 0.1


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_waited_for(code: int) -> None:
    with site({"/a.jpg": Answer(code, b"", ("Retry-After: 1",))}) as served:
        served.later["/a.jpg"] = Answer(200, JPEG)
        assert download(served, ["/a.jpg"], retries=1)["/a.jpg"].status is DownloadStatus.OK
    first, second = served.times()
    assert second - first > 0.95  # waiting is never shorter, whatever the machine


def test_a_host_that_asks_for_an_hour_is_not_asked_for_its_other_images() -> None:
    with site({"/0.jpg": Answer(429, b"", ("Retry-After: 3600",))}) as served:
        got = download(served, [f"/{n}.jpg" for n in range(6)], per_host=1)
    assert {one.status for one in got.values()} == {DownloadStatus.RATE_LIMITED}
    assert len(served.times()) == 1


def test_a_crawl_delay_outlives_an_idle_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace forgets hosts that rest; what their robots.txt wants still counts."""
    pace = Pace(8, 8, 0.0)
    monkeypatch.setattr("laion_eo.builtin.downloaders.http.rate_limits.REMEMBERED", 1)

    async def work(port: int) -> None:
        async with Client(HttpOptions(allow_hosts=("127.0.0.1",)), pace) as client:
            fetcher = Fetcher(client, HashList())
            async with Room(8, 2**20).place() as place:
                for n in range(3):
                    await fetcher.fetch(f"http://127.0.0.1:{port}/{n}.jpg", place)
                    await asyncio.sleep(0.35)
                    pace.slow_down("another.test", 0.0)  # a new host: the idle ones are forgotten
                    assert set(pace._hosts) == {"another.test"}
                await fetcher.fetch(f"http://127.0.0.1:{port}/3.jpg", place)
                assert pace._hosts["127.0.0.1"].delay == 0.3

    with site({"/robots.txt": Answer(200, b"User-agent: *\nCrawl-delay: 0.3\n")}) as served:
        asyncio.run(work(served.port))
    assert served.paths().count("/robots.txt") == 1


def test_the_pace_forgets_no_host_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laion_eo.builtin.downloaders.http.rate_limits.REMEMBERED", 1)

    async def work() -> None:
        pace = Pace(8, 1, 0.0)
        pace.leave_alone("asked-for-peace.test", 60.0, refuse=True)
        async with pace.turn("busy.test"):
            pace.slow_down("idle.test", 0.0)
            pace.slow_down("new.test", 0.0)
            assert set(pace._hosts) == {"asked-for-peace.test", "busy.test", "new.test"}

    asyncio.run(work())


def test_a_reason_is_one_line_that_no_terminal_obeys() -> None:
    reason = RefusedError(DownloadStatus.HTTP_ERROR, "a\x1b[31m\r\n b\u202e" + "x" * 400).reason
    assert reason == "a?[31m b?" + "x" * 291


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
        async with Client(HttpOptions(delay=0.0), Pace(8, 8, 0.0), Loopback(())) as client:
            fetcher = Fetcher(client, HashList())
            for path in ("a.jpg", "b.jpg"):
                async with Room(8, 2**20).place() as place:
                    got = await fetcher.fetch(f"http://pool.test:{port}/{path}", place)
                assert got.status is DownloadStatus.OK

    with site({"/a.jpg": Answer(200, JPEG, ("Set-Cookie: who=you",))}) as served:
        asyncio.run(work(served.port))
    assert not any("cookie:" in head.lower() for head in served.heads)


def test_the_manifest_learns_what_was_switched_off() -> None:
    config = HttpDownloader.Config(robots_txt=False)
    facts = HttpDownloader(config, Context()).facts()
    assert facts["politeness"]["robots_txt"] is False
    assert facts["politeness"]["x_robots_tag"] is True
    assert facts["user_agent"].startswith("laion-eo/")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["noai"], "noai"),
        (["all", "nofollow, NOIMAGEINDEX"], "noimageindex"),
        (["none"], "none"),
        (["laion-eo: noai"], "noai"),
        (["otherbot: noai, noindex"], None),
        (["otherbot: nofollow, laion-eo: noindex"], "noindex"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], "noindex"),
        (["nofollow, max-snippet: 20"], None),
        ([], None),
    ],
)
def test_x_robots_tag(values: list[str], word: str | None) -> None:
    assert opt_out(values, "laion-eo") == word


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("Fri, 01 Jan 2027 00:01:00 GMT", 60.0),
        ("Fri, 01 Jan 2021 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("Fri, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, datetime(2027, 1, 1, tzinfo=UTC)) == seconds
