"""Downloader ``http``: fetches images from strangers' servers, many at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

from laion_eo.builtin.downloaders.http.body import Room
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import Pace
from laion_eo.builtin.downloaders.http.scheduling import Handoff, Lanes
from laion_eo.builtin.hash_lists import AllowList, HashList
from laion_eo.errors import DataError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import Downloader
from laion_eo.types import JSON, Download, DownloadStatus


class HttpDownloader(Downloader):
    """Asynchronous, bounded in memory; polite and safe unless the run file says otherwise."""

    name = "http"
    summary = "http and https, many at a time, politely; private addresses refused"

    class Config(HttpOptions):  # noqa: D106 - it has the one of HttpOptions
        __doc__ = HttpOptions.__doc__

    config: Config

    def identity(self) -> JSON:
        """Return the names, sizes and times of the lists' files.

        Raises:
            DataError: A list is missing.
        """
        options = self.config
        if options.block_list and not options.block_list.is_file():
            raise DataError(f"{options.block_list}: no such block-list (a text file).")
        files = [options.block_list] if options.block_list else []
        if options.allow_list:
            files += AllowList(options.allow_list).files
        return files_identity(files)

    def facts(self) -> dict[str, JSON]:
        """Return who asked, and which rules of politeness were obeyed."""
        options = self.config
        switches = ("robots_txt", "x_robots_tag", "tdm_reservation", "retry_after")
        politeness = {name: getattr(options, name) for name in switches}
        politeness |= {"delay": options.delay, "per_host": options.per_host}
        lists = {"allow_list": options.allow_list, "block_list": options.block_list}
        return {
            "user_agent": options.agent,
            "politeness": politeness,
            "lists": {name: path and str(path) for name, path in lists.items()},
        }

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        """Yield one result per URL as they come.

        Args:
            urls: Distinct URLs.

        Raises:
            DataError: The allow-list or the block-list is missing or damaged.
        """
        options = self.config
        blocked = HashList.from_text(options.block_list) if options.block_list else HashList()
        wanted = None
        if options.allow_list:
            allow_list = AllowList(options.allow_list)
            if allow_list.column == "url":
                listed = allow_list.matching(urls)
                yield from map(_unlisted, (url for url in urls if url not in listed))
                urls = [url for url in urls if url in listed]
            else:
                wanted = allow_list.hashes()
        handoff = Handoff()

        async def work() -> None:
            loop = asyncio.get_running_loop()
            # Dead names keep their thread for seconds: the default pool would stall on them.
            loop.set_default_executor(ThreadPoolExecutor(options.concurrency))
            pace = Pace(options.concurrency, options.per_host, options.delay)
            room = Room(2 * options.concurrency, options.max_bytes)
            async with Client(options, pace) as client:
                lanes = Lanes(Fetcher(client, blocked, wanted), room, handoff)
                await lanes.run(urls, options.concurrency, options.per_host)

        yield from _in_thread(work, handoff)


def _in_thread(
    work: Callable[[], Coroutine[None, None, None]], handoff: Handoff
) -> Iterator[Download]:
    """Run an event loop in a thread, so that it goes on while the caller stores what came."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(work())

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(_wait_for(task))
                handoff.end()
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                handoff.end(error)

    thread = threading.Thread(target=run, name="laion-eo-download", daemon=True)
    thread.start()
    wait = True
    try:
        while (download := handoff.take()) is not None:
            yield download
    except GeneratorExit:
        # Left early, and not waited for: the garbage collector may be closing this generator in one
        # of the threads that the loop itself waits for.
        wait = False
        raise
    finally:
        with suppress(RuntimeError):  # the loop is closed: there is nothing left to cancel
            loop.call_soon_threadsafe(task.cancel)
        if wait:
            thread.join()


async def _wait_for(task: asyncio.Task[None]) -> None:
    await task


def _unlisted(url: str) -> Download:
    status = DownloadStatus.NOT_ALLOWED
    return Download(url, status, "the URL is not on the allow-list", fetched_at=datetime.now(UTC))
