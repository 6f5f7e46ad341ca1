"""Ctrl-C and SIGTERM: a command stops with one line that says how to resume, whenever they come.

The first one is Python's KeyboardInterrupt, so that files, connections and a cluster are let go of.
A second one does not wait for that: the process ends at once. Nothing is lost either way: what a
run relies on is on the disk before it is relied on, as after SIGKILL.

A process that was stopped does not go through the end of the interpreter, which waits for threads
that still ask for names, and aborts where one of them is writing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

MESSAGE = "laion-eo: stopped; run the same command again to resume."
_SHOW_CURSOR = "\x1b[?25h"
"""A progress bar hides the terminal's cursor while it moves."""


class Stopping:
    """What has come so far.

    Attributes:
        code: 128 and the number of the first signal; 0 before one came.
        over: The command has ended: there is nothing left to let go of.
        said: The line that says how to resume is written, or is being written.
    """

    def __init__(self) -> None:
        self.code = 0
        self.over = False
        self.said = False

    def receive(self, number: int, _: FrameType | None) -> None:
        """Stop gently, or at once: a signal's handler."""
        again, self.code = self.code != 0, self.code or 128 + number
        if again or self.over:
            self.end()
        raise KeyboardInterrupt

    def ignored(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Stop, where Python would drop a KeyboardInterrupt: in a destructor, say."""
        if self.code and unraisable.exc_type is KeyboardInterrupt:
            self.end()
        sys.__unraisablehook__(unraisable)

    def say(self) -> None:
        """Say once how to resume."""
        if self.said:
            return
        self.said = True
        line = f"{_SHOW_CURSOR if os.isatty(2) else ''}{MESSAGE}\n"
        with suppress(OSError):
            # Not by way of sys.stderr, which may be in the middle of a line, and locked.
            os.write(2, line.encode())

    def end(self) -> NoReturn:
        """Say how to resume, and end the process."""
        # Another signal must not end it in the middle of the line, or before it.
        with suppress(ValueError):  # outside the main thread
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
        self.say()
        os._exit(self.code)


def stoppable(command: Callable[[], None]) -> None:
    """Do something that Ctrl-C and SIGTERM stop, and that ends the process then.

    Exit codes are a shell's: 130 and 143. A signal that the process was started to ignore stays
    ignored, as under ``nohup``. Outside the main thread, which is the one that gets signals, the
    command is done as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        command()
        return
    stopping = Stopping()
    try:
        try:
            sys.unraisablehook = stopping.ignored
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, stopping.receive)
            command()
        finally:
            stopping.over = True
    except BaseException:
        # Whatever it became on its way up: libraries turn an interrupt into errors of their own.
        if not stopping.code:
            raise
    if stopping.code:
        _flush()
        stopping.end()


def is_stoppable() -> bool:
    """Tell whether :func:`stoppable` is at work, and says itself how to resume."""
    handlers = map(signal.getsignal, (signal.SIGTERM, signal.SIGINT))
    return any(isinstance(getattr(one, "__self__", None), Stopping) for one in handlers)


def is_stopping() -> bool:
    """Tell whether Ctrl-C or SIGTERM has come: what is raised now may be no error of its own."""
    handlers = map(signal.getsignal, (signal.SIGTERM, signal.SIGINT))
    found = (getattr(one, "__self__", None) for one in handlers)
    return any(isinstance(one, Stopping) and one.code != 0 for one in found)


def _flush() -> None:
    flushes: tuple[Callable[[], None], ...] = (sys.stdout.flush, sys.stderr.flush)
    for flush in flushes:
        with suppress(OSError, ValueError, RuntimeError):
            flush()
