"""One request to the hostile server, and the wire to answer on."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from laion_eo.types import DownloadStatus


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
        """Send a complete, correct answer.

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
        host: The name that the case is reached by: the rate limits of one host must not hit
            the others.
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
