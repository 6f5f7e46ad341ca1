"""Stores images while more of them come: syncing each to the disk takes longer than writing it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from laion_eo.files import sync_file, sync_folder, write_atomically

SYNC_THREADS = 4
"""File systems sync several files at once in little more time than one."""


class ImageWriter:
    """Writes images at once, and syncs them in threads of its own.

    Args:
        folder: Where; created with the first image.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="sync-images")
        self._syncing: deque[Future[None]] = deque()
        self._written = self._synced = 0

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def written(self) -> int:
        """How many images were written so far."""
        return self._written

    def write(self, name: str, content: bytes) -> None:
        """Store an image under its content's name, unless it is there already.

        Raises:
            OSError: The disk cannot take it.
        """
        path = self._folder / name
        if not path.exists():
            write_atomically(path, content, durable=False)
        self._written += 1
        self._syncing.append(self._threads.submit(sync_file, path))

    def are_on_disk(self, count: int, *, wait: bool = False) -> bool:
        """Tell whether the first ``count`` images that were written would survive a loss of power.

        Args:
            count: How many, in the order in which they were written.
            wait: Until they would.

        Raises:
            OSError: The disk cannot take one.
        """
        before = self._synced
        while self._synced < count and (wait or self._syncing[0].done()):
            self._syncing.popleft().result()
            self._synced += 1
        if self._synced > before:
            sync_folder(self._folder)
        return self._synced >= count
