from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from laion_eo.builtin.event_loop import in_thread

CELL: ContextVar[str] = ContextVar("CELL", default="none")


async def number() -> int:
    await asyncio.sleep(0)
    return 7


def test_the_result_comes_from_a_thread_of_its_own() -> None:
    async def where() -> str:
        return threading.current_thread().name

    with in_thread(where(), "here") as future:
        assert future.result() == "here"


def test_it_works_inside_a_running_event_loop() -> None:
    async def cell() -> int:
        with in_thread(number(), "inner") as future:
            return future.result()

    assert asyncio.run(cell()) == 7


def test_the_caller_s_context_is_seen() -> None:
    async def seen() -> str:
        return CELL.get()

    token = CELL.set("cell 3")
    try:
        with in_thread(seen(), "inner") as future:
            assert future.result() == "cell 3"
    finally:
        CELL.reset(token)


def test_an_error_is_the_caller_s() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"), in_thread(fail(), "inner") as future:
        future.result()


def test_what_is_unfinished_is_cancelled_and_waited_for() -> None:
    """As when a user interrupts a notebook's cell."""
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    with pytest.raises(KeyboardInterrupt), in_thread(forever(), "interrupted"):
        raise KeyboardInterrupt
    assert cancelled.is_set()
    assert "interrupted" not in {thread.name for thread in threading.enumerate()}
