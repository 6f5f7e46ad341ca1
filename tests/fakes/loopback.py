"""A server of one's own on loopback, for the length of a block."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Server:
    """Serves in an event loop of its own.

    Args:
        answer: Deals with one connection.
        context: Speaks TLS, if given.
    """

    def __init__(self, answer: Answer, context: ssl.SSLContext | None) -> None:
        self._answer = answer
        self._context = context
        self.loop = asyncio.new_event_loop()
        self.stop = asyncio.Event()
        self.ready = threading.Event()
        self.port = 0

    def work(self) -> None:
        """Serve until ``stop`` is set."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        if self._context:  # handshakes that a client breaks off
            self.loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, ssl=self._context, backlog=512
        )
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        async with server:
            await self.stop.wait()
            server.close()
            # What was accepted last gets its turn: a task cancelled before its first step could not
            # close its connection.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            # Waited for: each closes its connection, which takes one turn more.
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer(reader, writer)
        with suppress(OSError):
            writer.close()


@contextmanager
def serve_connections(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on 127.0.0.1, in a thread of its own, while the block runs.

    Args:
        answer: Deals with one connection; what it raises because the client went is dropped, and
            the connection is closed after it.
        context: Speaks TLS, if given.

    Yields:
        The port.
    """
    server = _Server(answer, context)
    thread = threading.Thread(target=server.work, name="loopback-server", daemon=True)
    thread.start()
    server.ready.wait()
    try:
        yield server.port
    finally:
        server.loop.call_soon_threadsafe(server.stop.set)
        thread.join()
