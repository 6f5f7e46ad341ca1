"""A server of one's own on loopback, for the length of a block."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready = threading.Event()
    ports: list[int] = []

    def opened(port: int) -> None:
        ports.append(port)
        ready.set()

    def work() -> None:
        if context:
            loop.set_exception_handler(lambda *_: None)  # handshakes that a client breaks off
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_serve(answer, context, opened, stop))

    thread = threading.Thread(target=work, name="loopback-server", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve(
    answer: Answer,
    context: ssl.SSLContext | None,
    opened: Callable[[int], None],
    stop: asyncio.Event,
) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        with suppress(OSError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context, backlog=512)
    opened(server.sockets[0].getsockname()[1])
    async with server:
        await stop.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
