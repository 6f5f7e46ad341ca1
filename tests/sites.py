"""A site on loopback with rules of its own, for tests of who asks it for what, and when."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp.abc import ResolveResult
from fakes.hostile_files import encoded, photo
from fakes.loopback import serve_connections

from laion_eo.builtin.downloaders.http.addresses import PublicResolver
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.component import Context
from laion_eo.types import JSON, Download

JPEG = encoded(photo(), "JPEG")


@dataclass
class Answer:
    """What a path gives."""

    code: int
    body: bytes = b""
    headers: tuple[str, ...] = ()


FilesOf = dict[str, Answer]


class Site:
    """A site with rules, and a diary of who asked for what and when.

    Attributes:
        files: What it has.
        later: What takes a file's place once that was asked for.
        silent: The path that is never answered.
        most_open: The most images that were asked for at a time.
    """

    def __init__(self, files: FilesOf) -> None:
        self.files = files
        self.later: FilesOf = {}
        self.silent: str | None = None
        self.port = 0
        self.diary: list[tuple[str, float, str]] = []
        self.heads: list[str] = []
        self.open = self.most_open = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(request)
        path = request.split(" ")[1]
        agent = next(x for x in request.split("\r\n") if x.startswith("User-Agent:"))
        self.diary.append((path, time.monotonic(), agent))
        missing = not path.endswith(".jpg")
        self.open += not missing
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0.02)
        self.open -= not missing
        if path == self.silent:
            await asyncio.sleep(3600)
        answer = self.files.get(path, Answer(404) if missing else Answer(200, JPEG))
        self.files |= {path: self.later[path]} if path in self.later else {}
        lines = [f"HTTP/1.1 {answer.code} X", f"Content-Length: {len(answer.body)}"]
        lines += ["Connection: close", *answer.headers, "", ""]
        writer.write("\r\n".join(lines).encode() + answer.body)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.diary]

    def times(self) -> list[float]:
        """When its images were asked for."""
        return [when for path, when, _ in self.diary if path.endswith(".jpg")]


@contextmanager
def site(files: FilesOf | None = None) -> Iterator[Site]:
    """Serve a site on loopback; an image at every path of one, nothing elsewhere."""
    served = Site(files or {})
    with serve_connections(served.answer) as port:
        served.port = port
        yield served


def download(served: Site, paths: Sequence[str], **options: JSON) -> dict[str, Download]:
    """Return how each path ends; in a hurry and without retries, unless the options say so."""
    base = f"http://127.0.0.1:{served.port}"
    config = {"allow_hosts": ["127.0.0.1"], "delay": 0.0, "retries": 0, **options}
    downloader = HttpDownloader(HttpDownloader.Config.model_validate(config), Context())
    found = downloader.download([base + path for path in paths])
    return {got.url.removeprefix(base): got for got in found}


class Loopback(PublicResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]
