"""An http proxy on loopback: whatever it is asked for, it fetches from one server there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from fakes.loopback import serve_connections


class Proxy:
    """The proxy while it runs.

    Attributes:
        port: Where it listens on 127.0.0.1.
        target: The port that stands for the whole web.
        code: What it answers by itself, where it is not 200.
        asked: Method and target of each request.
        auth: The Proxy-Authorization headers among them.
    """

    def __init__(self, target: int, code: int = 200) -> None:
        self.port = 0
        self.target = target
        self.code = code
        self.asked: list[tuple[str, str]] = []
        self.auth: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request: a tunnel for CONNECT, else the web's own answer."""
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = line.split(" ")
        self.asked.append((method, target))
        names = [one.partition(":") for one in lines if one]
        self.auth += [v.strip() for n, _, v in names if n.lower() == "proxy-authorization"]
        if self.code != 200:
            writer.write(f"HTTP/1.1 {self.code} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        far, near = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                near.write(_to_origin(method, target, lines))
            await asyncio.gather(_relay(reader, near), _relay(far, writer))
        finally:
            near.close()


def _to_origin(method: str, target: str, lines: Sequence[str]) -> bytes:
    """Return the head of a request as the web's own server wants it."""
    parts = urlsplit(target)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    kept = [one for one in lines if not one.lower().startswith(("proxy-", "connection:"))]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Connection: close", *kept]).encode()


async def _relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()


@contextmanager
def serve_proxy(target: int, code: int = 200) -> Iterator[Proxy]:
    """Serve the proxy on loopback while the block runs."""
    proxy = Proxy(target, code)
    with serve_connections(proxy.answer) as port:
        proxy.port = port
        yield proxy
