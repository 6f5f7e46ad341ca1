from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.hostile_files import encoded, photo
from fakes.loopback import serve_connections

from laion_eo.types import JSON

ROOT = Path(__file__).resolve().parents[2]
ALIVE = 10
"""One URL in so many has an image; the others are 404s and dead hosts, half and half."""
MEMORY_MIB = 900


class Web:
    """Images at /img/N.jpg, nothing elsewhere; counts what it sent."""

    def __init__(self) -> None:
        self.port = 0
        self.sent: Counter[str] = Counter()
        self.requests = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            self.requests += 1
            body = b""
            if path.startswith("/img/"):
                self.sent[path] += 1
                # Its own bytes, and so its own file, for each path.
                body = PICTURE + path.encode()
            code = "200 OK" if body else "404 Not Found"
            head = f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()


PICTURE = encoded(photo(0, (48, 48)), "JPEG")


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()
    with serve_connections(web.answer) as port:
        web.port = port
        yield web


def urls_of(count: int, port: int) -> list[str]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()[1]
    urls = []
    for n in range(count):
        if n % ALIVE == 0:
            urls.append(f"http://127.0.0.1:{port}/img/{n}.jpg")
        elif n % 2:
            urls.append(f"http://127.0.0.1:{port}/gone/{n}.jpg")
        else:  # 40,000 hosts where nobody listens
            urls.append(f"http://127.1.{n % 200}.{1 + n // 200 % 200}:{dead}/{n}.jpg")
    return urls


def run_file(folder: Path, anchors: Path, urls: list[str]) -> Path:
    (folder / "urls.txt").write_text("\n".join(urls))
    hosts = sorted({url.split("/")[2].partition(":")[0] for url in urls})
    data: dict[str, JSON] = {
        "anchors": {"use": "images", "root": str(anchors)},
        "normalizer": {"use": "none"},
        "embedder": {"use": "colours"},
        "retriever": {"use": "url-list", "urls": str(folder / "urls.txt"), "k": len(urls)},
        "downloader": {"use": "http", "allow_hosts": hosts, "delay": 0.0, "per_host": 32},
        "scorers": [{"use": "image-similarity"}],
        "filters": [{"use": "min-size", "width": 1, "height": 1}],
        "language_tagger": {"use": "letters"},
    }
    (folder / "run.json").write_text(json.dumps(data))
    return folder / "run.json"


def start(run_json: Path, out: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(Path(__file__).with_name("url_list.py")),
        str(run_json),
        str(out),
    ]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def recorded(out: Path) -> set[str]:
    """The paths of the images that the run directory knows of as fetched."""
    urls = set()
    for journal in (out / "downloads").glob("journal-*"):
        for line in journal.read_bytes().split(b"\n")[:-1]:
            row = json.loads(line)
            urls |= {row["url"]} if row["status"] == "ok" else set()
    for part in (out / "downloads").glob("part-*.parquet"):
        rows = pq.read_table(part, columns=["url", "status"]).to_pylist()
        urls |= {row["url"] for row in rows if row["status"] == "ok"}
    return {"/" + url.split("/", 3)[3] for url in urls}


def published(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((out / "dataset").rglob("*.parquet"))]


@pytest.mark.crash
@pytest.mark.parametrize(
    ("count", "kills"), [(2000, 2), pytest.param(100_000, 5, marks=pytest.mark.slow)]
)
def test_killed_downloads_go_on(count: int, kills: int, anchors: Path, tmp_path: Path) -> None:
    with serving() as web:
        urls = urls_of(count, web.port)
        run_json, out = run_file(tmp_path, anchors, urls), tmp_path / "run"
        known: list[tuple[set[str], Counter[str]]] = []
        for kill in range(1, kills + 1):
            process = start(run_json, out)
            while web.requests < kill * len(urls) * 0.6 / (kills + 1) and process.poll() is None:
                time.sleep(0.002)
            assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(0.1)  # what was on the wire arrives
            known.append((recorded(out), web.sent.copy()))
        process = start(run_json, out)
        text, errors = process.communicate()
        assert process.returncode == 0, errors
        whole = tmp_path / "whole"
        sent = web.sent.copy()
        uninterrupted = start(run_json, whole)
        _, errors = uninterrupted.communicate()
        assert uninterrupted.returncode == 0, errors
    table = pq.read_table(out / "downloads")
    assert sorted(table["url"].to_pylist()) == sorted(urls)
    statuses = Counter(table["status"].to_pylist())
    assert set(statuses) == {"ok", "http-error", "unreachable"}
    assert statuses["ok"] == len(urls) // ALIVE == len(list((out / "images").iterdir()))
    assert all(done for done, _ in known)
    for done, then in known:
        assert {path: sent[path] for path in done} == {path: then[path] for path in done}
    assert published(out) == published(whole)
    assert json.loads(text)["peak_mib"] < MEMORY_MIB
    print(statuses, [len(done) for done, _ in known], text)  # noqa: T201 - for pytest -s
