from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from laion_eo.builtin.http.downloader import HttpDownloader
from laion_eo.builtin.http.headers import opt_out, retry_after
from laion_eo.builtin.http.rules import matches, parse_tdm
from laion_eo.component import Context
from laion_eo.testing.hostile_files import encoded, photo
from laion_eo.testing.loopback import serve_connections
from laion_eo.types import JSON, Download, DownloadStatus

JPEG = encoded(photo(), "JPEG")
FilesOf = dict[str, tuple[int, bytes]]


class Site:
    """A site with rules, and a diary of who asked for what and when."""

    def __init__(self, files: FilesOf) -> None:
        self.files = files
        self.port = 0
        self.diary: list[tuple[str, float, str]] = []
        self.open = self.most_open = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = request.split(" ")[1]
        agent = next(x for x in request.split("\r\n") if x.startswith("User-Agent:"))
        self.diary.append((path, time.monotonic(), agent))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0.02)
        self.open -= 1
        missing = not path.endswith(".jpg")
        code, body = self.files.get(path, (404, b"") if missing else (200, JPEG))
        head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.diary]


@contextmanager
def site(files: FilesOf | None = None) -> Iterator[Site]:
    served = Site(files or {})
    with serve_connections(served.answer) as port:
        served.port = port
        yield served


def download(served: Site, paths: Sequence[str], **options: JSON) -> dict[str, Download]:
    base = f"http://127.0.0.1:{served.port}"
    config = {"allow_hosts": ["127.0.0.1"], "delay": 0.0, "retries": 0, **options}
    downloader = HttpDownloader(HttpDownloader.Config.model_validate(config), Context())
    found = downloader.download([base + path for path in paths])
    return {got.url.removeprefix(base): got for got in found}


def test_robots_txt_is_read_once_and_obeyed() -> None:
    rules = b"User-agent: laion-eo\nDisallow: /no\n\nUser-agent: *\nDisallow: /\n"
    with site({"/robots.txt": (200, rules)}) as served:
        got = download(served, ["/a.jpg", "/b.jpg", "/no/c.jpg"])
    assert got["/a.jpg"].status is DownloadStatus.OK  # our own rules count, not everybody's
    assert got["/no/c.jpg"].status is DownloadStatus.ROBOTS_TXT
    assert served.paths().count("/robots.txt") == 1
    assert "/no/c.jpg" not in served.paths()


def test_robots_txt_can_be_switched_off() -> None:
    with site({"/robots.txt": (200, b"User-agent: *\nDisallow: /\n")}) as served:
        got = download(served, ["/a.jpg"], robots_txt=False)
    assert got["/a.jpg"].status is DownloadStatus.OK
    assert "/robots.txt" not in served.paths()


@pytest.mark.parametrize(
    ("code", "status"),
    [(404, DownloadStatus.OK), (403, DownloadStatus.OK), (503, DownloadStatus.ROBOTS_TXT)],
)
def test_robots_txt_that_cannot_be_read(code: int, status: DownloadStatus) -> None:
    with site({"/robots.txt": (code, b"")}) as served:
        assert download(served, ["/a.jpg"])["/a.jpg"].status is status


def test_a_robots_txt_made_to_hang_its_reader_does_not() -> None:
    rules = b"User-agent: *\nDisallow: /" + b"*a" * 40 + b"b$\n"
    with site({"/robots.txt": (200, rules)}) as served:
        path = "/" + "a" * 2000 + ".jpg"
        assert download(served, [path], timeout=5.0)[path].status is DownloadStatus.OK


def test_crawl_delay_counts_where_it_is_longer() -> None:
    rules = b"User-agent: *\nCrawl-delay: 0.3\n"
    with site({"/robots.txt": (200, rules)}) as served:
        download(served, ["/a.jpg", "/b.jpg", "/c.jpg"], tdm_reservation=False)
    times = [when for path, when, _ in served.diary if path.endswith(".jpg")]
    assert times[-1] - times[0] > 2 * 0.3 - 0.1  # waiting is never shorter, whatever the machine


def test_a_host_has_so_many_connections_and_so_much_peace() -> None:
    with site() as served:
        download(served, [f"/{n}.jpg" for n in range(12)], per_host=2, delay=0.05)
    times = [when for _, when, _ in served.diary]
    assert served.most_open <= 2
    assert times[-1] - times[0] > 13 * 0.05 - 0.1  # robots.txt and tdmrep.json count too


def test_the_agent_says_who_and_why_and_gives_a_contact() -> None:
    with site() as served:
        download(served, ["/a.jpg"], contact="mailto:someone@example.org")
    agents = {agent for _, _, agent in served.diary}
    assert len(agents) == 1  # robots.txt is asked for under the same name
    assert "laion-eo/" in (agent := agents.pop())
    assert "research" in agent
    assert "mailto:someone@example.org" in agent


def test_tdmrep_can_be_switched_off() -> None:
    listed = b'[{"location": "/", "tdm-reservation": 1}]'
    with site({"/.well-known/tdmrep.json": (200, listed)}) as served:
        kept = download(served, ["/a.jpg"])["/a.jpg"]
        taken = download(served, ["/a.jpg"], tdm_reservation=False)["/a.jpg"]
    assert (kept.status, taken.status) == (DownloadStatus.TDM_RESERVED, DownloadStatus.OK)


def test_a_host_that_says_429_is_left_alone() -> None:
    with site({f"/{n}.jpg": (429, b"") for n in range(2)}) as served:
        got = download(served, [f"/{n}.jpg" for n in range(2)], retries=1, per_host=1)
    assert {one.status for one in got.values()} == {DownloadStatus.RATE_LIMITED}
    times = [when for path, when, _ in served.diary if path.endswith(".jpg")]
    assert len(times) == 4
    assert times[-1] - times[0] > 3 * 0.5 - 0.1


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
        (None, None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, datetime(2027, 1, 1, tzinfo=UTC)) == seconds


def test_tdm_rules_are_read_in_order_and_nonsense_says_nothing() -> None:
    text = '[{"location": "/free/*"}, {"location": "/", "tdm-reservation": 1}, 3, {"location": 4}]'
    assert parse_tdm(text) == (("/free/*", False), ("/", True))
    assert parse_tdm("<html>") == parse_tdm('"x"') == parse_tdm("[" * 100_000) == ()


@pytest.mark.parametrize(
    ("location", "path", "result"),
    [
        ("/", "/x", True),
        ("/a/*.jpg$", "/a/b.jpg", True),
        ("/a/*.jpg$", "/a/b.jpg.png", False),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("/*a$", "/ba", True),
        ("/*ab*ab$", "/ab", False),
        ("/" + "*a" * 50 + "b$", "/" + "a" * 5000, False),
    ],
)
def test_locations(location: str, path: str, result: bool) -> None:
    assert matches(location, path) is result
