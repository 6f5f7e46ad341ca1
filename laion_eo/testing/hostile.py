"""A loopback server that does what hostile and rotting servers do, one named case a path.

::

    with serve_hostile() as server:
        for case in CASES:
            print(case.name, case.does, server.url(case), "should end as", case.status)
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from laion_eo.testing.loopback import serve_connections
from laion_eo.types import DownloadStatus

ROBOTS = b"User-agent: *\nDisallow: /case/robots-disallowed\nDisallow: /*.secret$\n"
TLS_HELLO = b"\x16"
TDMREP = b'[{"location": "/case/tdm-listed*", "tdm-reservation": 1, "tdm-policy": "https://x/p"}]'


@dataclass
class Exchange:
    """One request and the wire to answer on.

    Attributes:
        writer: The wire.
        base: The server's own URL, without a slash at its end.
        visits: How often this case has been asked for, this time included.
        headers: The request's headers, names in lower case.
    """

    writer: asyncio.StreamWriter
    base: str
    visits: int
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body: bytes, code: int = 200, *headers: str) -> None:
        """Send a whole, correct answer.

        Args:
            body: The body.
            code: The status code.
            *headers: Further header lines; a Content-Length among them replaces the true one.
        """
        await self.send(head(code, *_with_length(headers, len(body))) + body)

    def reset(self) -> None:
        """Break the connection off at once (RST)."""
        wire = self.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One thing that a server does.

    Attributes:
        name: kebab-case; the path is ``/case/NAME``.
        status: How the download of it ends.
        does: What the server does, in one line.
        behave: Does it.
        http_code: The code that the download notes.
        size: (width, height) that it notes, where there is an image.
        host: The name that the case needs to be reached by: what one host did must not be held
            against the others.
        scheme: ``http``, or ``https`` for what is no TLS at all.
    """

    name: str
    status: DownloadStatus
    does: str
    behave: Behaviour
    http_code: int | None = 200
    size: tuple[int, int] | None = None
    host: str = "127.0.0.1"
    scheme: str = "http"


def head(code: int, *headers: str) -> bytes:
    """Return the head of an answer: status line, header lines, empty line."""
    lines = [f"HTTP/1.1 {code} {_REASONS.get(code, 'Whatever')}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_REASONS = {200: "OK", 204: "No Content", 302: "Found", 304: "Not Modified", 404: "Not Found"}


def _with_length(headers: tuple[str, ...], length: int) -> tuple[str, ...]:
    there = any(line.lower().startswith("content-length:") for line in headers)
    return headers if there else (*headers, f"Content-Length: {length}")


class HostileServer:
    """The server while it runs.

    Attributes:
        port: Where it listens on 127.0.0.1.
        visits: Requests for each path.
    """

    def __init__(self, cases: dict[str, Case]) -> None:
        self.port = 0
        self.visits: Counter[str] = Counter()
        self._cases = cases

    def url(self, case: Case) -> str:
        """Return the URL of a case."""
        return f"{case.scheme}://{case.host}:{self.port}/case/{case.name}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request as its case says."""
        first = await reader.readexactly(1)
        if first == TLS_HELLO:
            writer.write(head(400))
            return
        request = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = request.split("\r\n")
        path = line.split(" ")[1]
        self.visits[path] += 1
        headers = {n.lower(): v.strip() for n, _, v in (one.partition(":") for one in lines)}
        base = f"http://127.0.0.1:{self.port}"
        exchange = Exchange(writer, base, self.visits[path], headers)
        await self._behaviour(path)(exchange)

    def _behaviour(self, path: str) -> Behaviour:
        if path == "/robots.txt":
            return lambda exchange: exchange.reply(ROBOTS)
        if path == "/.well-known/tdmrep.json":
            return lambda exchange: exchange.reply(TDMREP)
        case = self._cases.get(path.removeprefix("/case/").partition("?")[0].partition("/")[0])
        return case.behave if case else lambda exchange: exchange.reply(b"", 404)


@contextmanager
def serve_hostile() -> Iterator[HostileServer]:
    """Serve :data:`laion_eo.testing.hostile_cases.CASES` on 127.0.0.1 while the block runs."""
    from laion_eo.testing.hostile_cases import CASES

    server = HostileServer({case.name: case for case in CASES})
    with serve_connections(server.answer) as port:
        server.port = port
        yield server
