"""Downloader ``http``: fetches images from third-party servers, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property

from laion_eo.addresses import is_this_machine
from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.crawler import Crawler, check_contact, say_ignored
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.downloaders.http.scheduling import ResultQueue, Scheduler
from laion_eo.builtin.event_loop import in_thread
from laion_eo.builtin.hash_lists import AllowList, HashList
from laion_eo.contact import NoContactError
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
    _said = False

    @cached_property
    def _crawler(self) -> Crawler:
        return Crawler.of(self.config, self.context.purpose)

    def check(self) -> None:
        """Refuse a run that must leave this machine without saying who runs it.

        Which URLs it will meet is not known yet. But where neither files nor hosts of this machine
        are allowed, only other machines can be asked.

        Raises:
            ConfigError: There is no contact; or the proxy, or the user's own contact, is wrong.
        """
        options = self.config
        here = options.allow_files or any(map(is_this_machine, options.allow_hosts))
        if self._crawler.anonymous and not here:
            raise NoContactError("the downloader 'http'")

    def identity(self) -> JSON:
        """Return the names, sizes and times of the lists' files.

        Raises:
            DataError: A list is missing, or the allow-list is empty or of another shape.
        """
        options = self.config
        if options.block_list is not None and not options.block_list.is_file():
            raise DataError(f"{options.block_list}: no such block-list (a text file).")
        files = [] if options.block_list is None else [options.block_list]
        if options.allow_list is not None:
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
            # Cards show the facts: a contact that the run file does not state stays the user's own.
            "user_agent": options.agent_for(self.context.purpose, options.contact),
            "proxy": self._crawler.way,
            "politeness": politeness,
            "lists": {name: path and str(path) for name, path in lists.items()},
        }

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        """Yield one result per URL as they come.

        Args:
            urls: Distinct URLs.

        Raises:
            ConfigError: Before anything is downloaded: there is no contact, and a URL leaves this
                machine; or the proxy, or the user's own contact, is wrong.
            DataError: Likewise: a list is missing or damaged, or the allow-list is empty.
        """
        options = self.config
        blocked, allowed, unlisted = HashList(), None, list[str]()
        if options.block_list is not None:
            blocked = HashList.from_text(options.block_list)
        if options.allow_list is not None:
            allow_list = AllowList(options.allow_list)
            if allow_list.column == "url":
                listed = allow_list.matching(urls)
                unlisted = [url for url in urls if url not in listed]
                urls = [url for url in urls if url in listed]
            else:
                allowed = allow_list.hashes()
        check_contact(self._crawler, urls, options)
        self._said = self._said or say_ignored(self._crawler, urls, options)
        yield from map(_unlisted, unlisted)
        results = ResultQueue()
        with in_thread(self._fetch(urls, blocked, allowed, results), "laion-eo-download") as future:
            future.add_done_callback(lambda ended: _end(results, ended))
            while (download := results.take()) is not None:
                yield download

    async def _fetch(
        self, urls: Sequence[str], blocked: HashList, allowed: HashList | None, results: ResultQueue
    ) -> None:
        """Fetch URLs into a queue."""
        options = self.config
        # Dead names keep their thread for seconds: the default pool would stall on them.
        executor = ThreadPoolExecutor(options.concurrency)
        asyncio.get_running_loop().set_default_executor(executor)
        rate_limits = RateLimits(options.concurrency, options.per_host, options.delay)
        memory = MemoryBudget(2 * options.concurrency, options.max_bytes)
        async with Client(options, rate_limits, crawler=self._crawler) as client:
            scheduler = Scheduler(Fetcher(client, blocked, allowed), memory, results)
            await scheduler.run(urls, options.concurrency, options.per_host)


def _end(results: ResultQueue, ended: Future[None]) -> None:
    """Tell whoever waits for results that there are no more, or why."""
    results.end(ended.exception())


def _unlisted(url: str) -> Download:
    status = DownloadStatus.NOT_ALLOWED
    return Download(url, status, "the URL is not on the allow-list", fetched_at=datetime.now(UTC))
