from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fakes.hostile import HostileServer, serve_hostile
from fakes.hostile_cases import CASES
from fakes.hostile_exchange import Case, head
from fakes.hostile_files import encoded, photo
from fakes.loopback import serve_connections

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.component import Context
from laion_eo.types import JSON, Download, DownloadStatus

TIMEOUT = 3.0
MAX_BYTES = 2**20
OPTIONS: dict[str, JSON] = {
    "allow_hosts": ["127.0.0.1", "localhost"],
    "concurrency": 128,
    "per_host": 128,
    "delay": 0.0,
    "timeout": TIMEOUT,
    "idle_timeout": 1.0,
    "retries": 1,
    "max_bytes": MAX_BYTES,
}
MEMORY_BOUND = 48 * 2**20
"""Bytes that the whole hostile web may cost a process above what its imports take."""
DEFAULT_MEMORY_BOUND = 450 * 2**20
"""What ``laion_eo/builtin/downloaders/http/__init__.py`` says of the default options."""


@dataclass
class Outcome:
    server: HostileServer
    downloads: dict[str, Download]
    seconds: float


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    """All cases at once, as one run meets them: nobody's trick may cost another's image."""
    with serve_hostile() as server:
        downloader = HttpDownloader(HttpDownloader.Config.model_validate(OPTIONS), Context())
        started = time.monotonic()
        found = list(downloader.download([server.url(case) for case in CASES]))
        assert len(found) == len(CASES)
        seconds = time.monotonic() - started
        yield Outcome(server, {download.url: download for download in found}, seconds)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_ends_in_its_documented_status(outcome: Outcome, case: Case) -> None:
    got = outcome.downloads[outcome.server.url(case)]
    assert (got.status, got.http_code) == (case.status, case.http_code), got.reason
    assert (got.content is not None) == case.status.has_image
    assert bool(got.reason) != case.status.has_image
    assert got.fetched_at is not None
    if case.size:
        assert (got.width, got.height) == case.size


def test_there_are_many_cases_and_every_name_is_its_own() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


def test_statuses_that_the_server_cannot_cause_are_few() -> None:
    # Each of these has a test of its own in this folder.
    elsewhere = {DownloadStatus.DNS_ERROR, DownloadStatus.NOT_ALLOWED, DownloadStatus.BLOCKED}
    assert {case.status for case in CASES} | elsewhere == set(DownloadStatus)


def test_no_try_outlasts_its_timeout(outcome: Outcome) -> None:
    # Not a speed test: two tries, the wait between them and the slowest answers, side by side.
    assert outcome.seconds < 4 * TIMEOUT


def test_disallowed_paths_are_never_asked_for(outcome: Outcome) -> None:
    assert outcome.server.visits["/robots.txt"] == 2  # one for each host and port
    for name in ("robots-disallowed", "tdm-listed"):
        assert outcome.server.visits[f"/case/{name}"] == 0


def test_no_retry_where_it_cannot_help(outcome: Outcome) -> None:
    for name in ("code-404", "html", "not-http", "endless", "slow-drip", "limited", "noai"):
        assert outcome.server.visits[f"/case/{name}"] == 1, name
    for name in ("code-503", "reset-in-body"):
        assert outcome.server.visits[f"/case/{name}"] == 2, name


def test_redirects_are_followed_so_far_and_no_further(outcome: Outcome) -> None:
    wanted = 1 + HttpDownloader.Config().max_redirects
    assert outcome.server.visits["/case/redirect-loop"] == wanted


CLIENT = """
import json, re, sys, time
from pathlib import Path
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.component import Context
options, urls, pause = json.load(sys.stdin)
downloader = HttpDownloader(HttpDownloader.Config.model_validate(options), Context())
# Not ru_maxrss: a child begins with its parent's.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
statuses = []
for got in downloader.download(urls):
    statuses.append(got.status)
    time.sleep(pause)
json.dump([statuses, peak() - before], sys.stdout)
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


def downloaded_apart(
    options: dict[str, JSON], urls: list[str], pause: float = 0.0
) -> tuple[list[str], int]:
    """Return the statuses, and by how many bytes a process of its own grew.

    Args:
        options: The downloader's.
        urls: What it downloads.
        pause: Seconds that whoever asked takes for each result.
    """
    text = json.dumps([options, urls, pause])
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], input=text, capture_output=True, text=True, check=True
    )
    statuses, grown = json.loads(done.stdout)
    return statuses, grown


@LINUX
def test_memory_stays_bounded() -> None:
    """In a process of its own: every trap three times over, all of them at once."""
    with serve_hostile() as server:
        urls = [
            f"{server.url(case)}?{n}"
            for n in range(3)
            for case in CASES
            if "limited" not in case.name
        ]
        statuses, grown = downloaded_apart(OPTIONS | {"retries": 0}, urls)
    assert len(statuses) == len(urls)
    assert grown < MEMORY_BOUND


@LINUX
@pytest.mark.slow
def test_memory_stays_bounded_with_the_default_limits() -> None:
    """The largest images that are taken, many at a time, for somebody who stores them slowly."""
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)
    jpeg = encoded(photo(), "JPEG")
    largest = jpeg[:2] + comment * 1020 + jpeg[2:]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = b".jpg " in await reader.readuntil(b"\r\n\r\n")
        body = largest if found else b""
        writer.write(head(200 if found else 404, f"Content-Length: {len(body)}") + body)
        await writer.drain()

    with serve_connections(answer) as port:
        urls = [f"http://127.0.0.1:{port}/{n}.jpg" for n in range(20)]
        options = {"allow_hosts": ["127.0.0.1"], "per_host": 64, "delay": 0.0}
        statuses, grown = downloaded_apart(options, urls, pause=0.2)
    assert statuses == ["ok"] * len(urls)
    assert grown < DEFAULT_MEMORY_BOUND
