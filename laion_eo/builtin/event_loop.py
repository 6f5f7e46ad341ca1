"""An event loop in a thread of its own, for synchronous callers that may be inside one already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def in_thread(work: Coroutine[Any, Any, T], name: str) -> Iterator[Future[T]]:
    """Run a coroutine in a thread while the block runs; what is unfinished then is cancelled.

    ``asyncio.run`` refuses to work inside a running event loop, and in a notebook there always is
    one. A thread has none, and lets the coroutine progress while the caller does something else.

    Args:
        work: The coroutine.
        name: The thread's, for debuggers.

    Yields:
        The coroutine's result, or what it raised, once it is finished.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    future: Future[T] = Future()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                future.set_result(runner.run(_result(task)))
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                future.set_exception(error)

    # With the caller's context: notebooks find the cell that a line of output belongs to by it.
    thread = threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
    thread.start()
    wait = True
    try:
        yield future
    except GeneratorExit:
        # Left early, and not waited for: the garbage collector may be closing the generator around
        # this in one of the threads that the loop itself waits for.
        wait = False
        raise
    finally:
        with suppress(RuntimeError):  # the loop is closed: there is nothing left to cancel
            loop.call_soon_threadsafe(task.cancel)
        if wait:
            thread.join()


async def _result(task: asyncio.Task[T]) -> T:
    return await task
