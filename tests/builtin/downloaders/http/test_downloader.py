from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.hostile_files import HEIGHT, WIDTH, encoded, photo
from fakes.loopback import serve_connections
from sites import download, site

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.component import Context
from laion_eo.digests import HashedBytes
from laion_eo.errors import DataError
from laion_eo.kinds.contract import check_download
from laion_eo.types import JSON, DownloadStatus

JPEG = encoded(photo(), "JPEG")


def downloader(**options: JSON) -> HttpDownloader:
    config = {"allow_hosts": ["127.0.0.1", "localhost"], "delay": 0.0, "retries": 0, **options}
    return HttpDownloader(HttpDownloader.Config.model_validate(config), Context())


async def serve_jpeg(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    if b"Host: localhost" in request:
        await asyncio.sleep(3600)
    found = b".jpg" in request.split(b"\r\n")[0]
    writer.write(
        b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        % (b"200 OK" if found else b"404 Not Found", len(JPEG) if found else 0)
    )
    writer.write(JPEG if found else b"")


def test_a_silent_host_holds_up_nobody_else() -> None:
    """Its URLs come first and are more than the requests at a time; the others do not wait."""
    with serve_connections(serve_jpeg) as port:
        silent = [f"http://localhost:{port}/{n}.jpg" for n in range(40)]
        quick = [f"http://127.0.0.1:{port}/{n}.jpg" for n in range(40)]
        found = downloader(concurrency=8, per_host=4, idle_timeout=2.0).download(silent + quick)
        first = [next(found).url for _ in range(40)]
        found.close()  # type: ignore[attr-defined]
    assert first and set(first) == set(quick)


def test_stopping_early_stops_the_thread() -> None:
    with serve_connections(serve_jpeg) as port:
        urls = [f"http://localhost:{port}/1.jpg", f"http://127.0.0.1:{port}/2.jpg"]
        before = {*threading.enumerate()}  # those of other tests may still be ending
        found = downloader().download(urls)
        assert next(found).status is DownloadStatus.OK
        new = {*threading.enumerate()} - before
        (thread,) = (one for one in new if one.name == "laion-eo-download")
        found.close()  # type: ignore[attr-defined]
        thread.join(60)
    assert not thread.is_alive()


def test_a_download_may_be_left_in_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector closes what was left wherever it happens to run."""
    received, left = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> None:
        received.wait(10)
        found.close()  # type: ignore[attr-defined]
        left.set()
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with serve_connections(serve_jpeg) as port:
        found = downloader().download(["http://a-name.invalid/", f"http://127.0.0.1:{port}/2.jpg"])
        assert next(found).status is DownloadStatus.OK
        received.set()
        assert left.wait(10)


def test_a_download_may_run_inside_an_event_loop() -> None:
    """In a notebook there always is one, in the thread of the caller."""

    async def cell(port: int) -> list[DownloadStatus]:
        return [got.status for got in downloader().download([f"http://127.0.0.1:{port}/1.jpg"])]

    with serve_connections(serve_jpeg) as port:
        assert asyncio.run(cell(port)) == [DownloadStatus.OK]


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_an_image_is_hashed_once_and_not_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the lists over the record to the check of the contract."""
    (tmp_path / "block.txt").write_text("0" * 32 + "\n" + "0" * 64)
    digest = getattr(HashedBytes(JPEG), name)
    pq.write_table(pa.table({name: [digest]}), tmp_path / "allow.parquet")
    original, hashed = getattr(hashlib, name), []

    def count(data: bytes, **options: bool) -> object:
        hashed.append(len(data))
        return original(data, **options)

    monkeypatch.setattr(hashlib, name, count)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    lists = {"block_list": tmp_path / "block.txt", "allow_list": tmp_path / "allow.parquet"}
    with serve_connections(serve_jpeg) as port:
        url = f"http://127.0.0.1:{port}/1.jpg"
        one = downloader(**lists)
        (got,) = one.download([url])
    check_download(one, got, [url])
    assert (got.status, getattr(got, name)) == (DownloadStatus.OK, digest)
    assert hashed.count(len(JPEG)) == 1


def test_the_manifest_learns_what_was_switched_off() -> None:
    config = HttpDownloader.Config(robots_txt=False)
    facts = HttpDownloader(config, Context()).facts()
    assert facts["politeness"]["robots_txt"] is False
    assert facts["politeness"]["x_robots_tag"] is True
    assert facts["user_agent"].startswith("laion-eo/")


def test_the_agent_says_who_and_why_and_gives_a_contact() -> None:
    with site() as served:
        download(served, ["/a.jpg"], contact="mailto:someone@example.org")
    agents = {agent for _, _, agent in served.diary}
    assert len(agents) == 1  # robots.txt is asked for under the same name
    assert "laion-eo/" in (agent := agents.pop())
    assert "collects image-text pairs" in agent
    assert "mailto:someone@example.org" in agent


@pytest.mark.parametrize(
    "url",
    ["", "no url", "http://", "http:///x.jpg", "http://[::1", "http://a:b/", "\x00", "ftp://x/"],
)
def test_what_is_no_url_is_a_status(url: str) -> None:
    [got] = downloader().download([url])
    assert (got.url, got.status) == (url, DownloadStatus.BAD_URL)


def test_files_are_read_only_where_the_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(JPEG)
    url = (tmp_path / "a b.jpg").as_uri()
    assert [got.status for got in downloader().download([url])] == [DownloadStatus.BAD_URL]
    urls = [url, (tmp_path / "none.jpg").as_uri()]
    statuses = {got.url: got.status for got in downloader(allow_files=True).download(urls)}
    assert statuses == dict(zip(urls, [DownloadStatus.OK, DownloadStatus.UNREACHABLE], strict=True))
    [large] = downloader(allow_files=True, max_bytes=len(JPEG) - 1).download([url])
    assert large.status is DownloadStatus.TOO_LARGE


def test_the_run_says_how_many_pixels_are_too_many() -> None:
    with serve_connections(serve_jpeg) as port:
        url, pixels = f"http://127.0.0.1:{port}/1.jpg", WIDTH * HEIGHT
        [taken] = downloader(max_pixels=pixels).download([url])
        [refused] = downloader(max_pixels=pixels - 1).download([url])
    assert taken.status is DownloadStatus.OK
    assert refused.status is DownloadStatus.TOO_MANY_PIXELS


def test_a_file_that_never_ends_is_not_begun(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    urls = ["file:///dev/zero", (tmp_path / "pipe").as_uri(), tmp_path.as_uri()]
    statuses = [got.status for got in downloader(allow_files=True).download(urls)]
    assert statuses == [DownloadStatus.UNREACHABLE] * 3


def test_a_missing_list_stops_the_run_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="block-list cannot be read"):
        list(downloader(block_list=str(tmp_path / "none.txt")).download(["http://127.0.0.1:1/"]))
    with pytest.raises(DataError, match=r"none\.txt: no such block-list"):
        downloader(block_list=str(tmp_path / "none.txt")).identity()


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_may_have_the_last_byte_that_is_allowed(announced: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        length = b"Content-Length: %d\r\n" % len(JPEG) if announced else b""
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n%s\r\n%s" % (length, JPEG))

    rules = {"robots_txt": False, "tdm_reservation": False}
    with serve_connections(answer) as port:
        for room, status in ((0, DownloadStatus.OK), (-1, DownloadStatus.TOO_LARGE)):
            options = {**rules, "max_bytes": len(JPEG) + room}
            (got,) = downloader(**options).download([f"http://127.0.0.1:{port}/a.jpg"])
            assert got.status is status


def test_the_shorter_side_may_be_as_long_as_the_least() -> None:
    least = min(WIDTH, HEIGHT)
    with serve_connections(serve_jpeg) as port:
        for side, status in ((least, DownloadStatus.OK), (least + 1, DownloadStatus.TOO_SMALL)):
            (got,) = downloader(min_side=side).download([f"http://127.0.0.1:{port}/a.jpg"])
            assert got.status is status
