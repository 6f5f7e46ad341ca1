"""Progress for people: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from laion_eo.hookspecs import hookimpl
from laion_eo.registry import Registry

LOG_EVERY = 10.0
"""Seconds between two log lines of one stage."""


class BarPlugin:
    """Moves one bar per stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, int] = {}

    @hookimpl
    def laion_eo_after_batch(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=None)
        task = next(t for t in self._progress.tasks if t.id == self._tasks[stage])
        self._progress.update(task.id, completed=done, total=total or None)


class LogPlugin:
    """Writes a line now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    @hookimpl
    def laion_eo_after_batch(self, stage: str, done: int, total: int) -> None:
        """Write a line, if the last one is a while ago."""
        now = time.monotonic()
        if now - self._last >= LOG_EVERY and total:
            self._last = now
            logging.getLogger("laion_eo").info("%s: %s of %s", stage, done, total)


@contextmanager
def reporting(registry: Registry) -> Iterator[None]:
    """Show the progress of everything that runs inside the block, on stderr."""
    console = Console(stderr=True)
    logger = logging.getLogger("laion_eo")
    plain = logging.StreamHandler(sys.stderr)
    plain.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    rich = RichHandler(console=console, show_path=False, show_level=False)
    handler: logging.Handler = rich if console.is_terminal else plain
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        if console.is_terminal:
            columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn())
            times = (TimeElapsedColumn(), TimeRemainingColumn())
            with Progress(*columns, *times, console=console) as progress:
                registry.add(BarPlugin(progress), "progress")
                yield
        else:
            registry.add(LogPlugin(), "progress")
            yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def counting_bytes(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many bytes are done: a bar on stderr if that is a terminal, else log lines.

    Args:
        what: What is done to them.

    Yields:
        To be called with the bytes that are done, and those that there are.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        log = LogPlugin()
        yield lambda done, total: log.laion_eo_after_batch(what, done, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
