"""A loopback server that does what hostile and rotting servers do, one named case a path.

::

    with serve_hostile() as server:
        for case in CASES:
            print(case.name, case.does, server.url(case), "should end as", case.status)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fakes.hostile_exchange import Behaviour, Case, Exchange, head
from fakes.loopback import serve_connections

ROBOTS = b"User-agent: *\nDisallow: /case/robots-disallowed\nDisallow: /*.secret$\n"
TLS_HELLO = b"\x16"
TDMREP = b'[{"location": "/case/tdm-listed*", "tdm-reservation": 1, "tdm-policy": "https://x/p"}]'


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
    """Serve :data:`fakes.hostile_cases.CASES` on 127.0.0.1 while the block runs."""
    from fakes.hostile_cases import CASES

    server = HostileServer({case.name: case for case in CASES})
    with serve_connections(server.answer) as port:
        server.port = port
        yield server
