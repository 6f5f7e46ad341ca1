"""Downloader ``http``: fetches images from strangers' servers, many at a time."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import Field

import laion_eo
from laion_eo.component import ComponentConfig
from laion_eo.images import MAX_PIXELS, ImageError, inspect_image
from laion_eo.kinds import Downloader
from laion_eo.types import Download, DownloadStatus

REDIRECTS = (301, 302, 303, 307, 308)
WORTH_A_RETRY = (429, 500, 502, 503, 504)
CHUNK = 65_536


class RefusedError(Exception):
    """A download that ends without an image: its status, reason and HTTP code."""

    def __init__(self, status: DownloadStatus, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


class HttpDownloader(Downloader):
    """Asynchronous, bounded in bytes, pixels and time; private addresses are refused."""

    name = "http"
    summary = "http and https, many at a time, private addresses refused"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            concurrency: Downloads at a time.
            per_host: Connections to one host at a time.
            timeout: Seconds that one download may take in all.
            retries: Further tries after a fault that may pass (no answer, 429, 5xx).
            max_bytes: Larger files are refused.
            max_pixels: Larger images are refused.
            max_redirects: Redirects followed.
            allow_hosts: Hosts that may have private or loopback addresses, by name.
            allow_files: Whether ``file:`` URLs are read, for pools on this machine.
            user_agent: Who asks.
        """

        concurrency: int = Field(default=64, ge=1)
        per_host: int = Field(default=8, ge=1)
        timeout: float = Field(default=30.0, gt=0)
        retries: int = Field(default=2, ge=0)
        max_bytes: int = Field(default=64 * 2**20, ge=1)
        max_pixels: int = Field(default=MAX_PIXELS, ge=1)
        max_redirects: int = Field(default=5, ge=0)
        allow_hosts: tuple[str, ...] = ()
        allow_files: bool = False
        user_agent: str = f"laion-eo/{laion_eo.__version__}"

    config: Config

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        """Yield one result per URL as they come.

        Args:
            urls: Distinct URLs.
        """
        # The event loop runs in a thread of its own; the queue's bound is the bound on memory.
        done: queue.Queue[Download | BaseException | None] = queue.Queue(self.config.concurrency)
        stop = threading.Event()

        def work() -> None:
            try:
                asyncio.run(self._fetch_all(urls, done, stop))
                done.put(None)
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                done.put(error)

        thread = threading.Thread(target=work, name="laion-eo-download", daemon=True)
        thread.start()
        try:
            while (item := done.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            while thread.is_alive():
                _drain(done)
                thread.join(0.05)

    async def _fetch_all(
        self,
        urls: Sequence[str],
        done: queue.Queue[Download | BaseException | None],
        stop: threading.Event,
    ) -> None:
        connector = aiohttp.TCPConnector(
            limit=self.config.concurrency,
            limit_per_host=self.config.per_host,
            resolver=_PublicResolver(self.config.allow_hosts),
        )
        headers = {"User-Agent": self.config.user_agent}
        waiting = iter(urls)
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:

            async def worker() -> None:
                for url in waiting:
                    if stop.is_set():
                        return
                    result = await self._fetch(session, url)
                    await asyncio.to_thread(done.put, result)

            await asyncio.gather(
                *(worker() for _ in range(min(self.config.concurrency, len(urls))))
            )

    async def _fetch(self, session: aiohttp.ClientSession, url: str) -> Download:
        """Fetch one URL, with retries."""
        for attempt in range(self.config.retries + 1):
            try:
                async with asyncio.timeout(self.config.timeout):
                    return await self._try(session, url)
            except RefusedError as error:
                refusal = error
            except TimeoutError:
                reason = f"no whole answer within {self.config.timeout:g} s"
                refusal = RefusedError(DownloadStatus.TIMEOUT, reason)
            except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as error:
                refusal = _explain(error)
            passing = refusal.status in (DownloadStatus.UNREACHABLE, DownloadStatus.TIMEOUT)
            if not (passing or refusal.code in WORTH_A_RETRY) or attempt == self.config.retries:
                break
            await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
        return Download(
            url, refusal.status, str(refusal), refusal.code, fetched_at=datetime.now(UTC)
        )

    async def _try(self, session: aiohttp.ClientSession, url: str) -> Download:
        if urlsplit(url).scheme == "file":
            content = self._read_file(url)
            return self._look_at(url, url, content, None)
        target = url
        for _ in range(self.config.max_redirects + 1):
            self._check(target)
            async with session.get(target, allow_redirects=False) as answer:
                location = answer.headers.get("Location")
                if answer.status in REDIRECTS and location:
                    target = urljoin(target, location)
                    continue
                if answer.status != 200:
                    what = f"HTTP {answer.status} {answer.reason or ''}".strip()
                    raise RefusedError(DownloadStatus.HTTP_ERROR, what, answer.status)
                content = await self._read(answer)
                return self._look_at(url, target, content, answer.status)
        what = f"more than {self.config.max_redirects} redirects"
        raise RefusedError(DownloadStatus.HTTP_ERROR, what, answer.status)

    def _check(self, url: str) -> None:
        """Refuse what is not http(s), and addresses written as numbers that are not public."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RefusedError(DownloadStatus.BAD_URL, "not an http or https URL")
        if parts.hostname in self.config.allow_hosts:
            return
        try:
            address = ipaddress.ip_address(parts.hostname)
        except ValueError:
            return  # a name: the resolver checks what it stands for
        if not address.is_global:
            raise RefusedError(DownloadStatus.REFUSED_ADDRESS, f"{address} is not a public address")

    def _read_file(self, url: str) -> bytes:
        if not self.config.allow_files:
            reason = "file: URLs are read only if the run file says allow_files = true"
            raise RefusedError(DownloadStatus.BAD_URL, reason)
        path = Path(unquote(urlsplit(url).path))
        try:
            if path.stat().st_size > self.config.max_bytes:
                raise RefusedError(
                    DownloadStatus.TOO_LARGE, f"more than {self.config.max_bytes} bytes"
                )
            return path.read_bytes()
        except OSError as error:
            raise RefusedError(
                DownloadStatus.UNREACHABLE, f"{error.strerror}: {path.name}"
            ) from None

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        limit = self.config.max_bytes
        parts, size = [], 0
        if (answer.content_length or 0) > limit:
            raise RefusedError(DownloadStatus.TOO_LARGE, f"more than {limit} bytes", answer.status)
        async for part in answer.content.iter_chunked(CHUNK):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise RefusedError(
                    DownloadStatus.TOO_LARGE, f"more than {limit} bytes", answer.status
                )
        return b"".join(parts)

    def _look_at(self, url: str, final_url: str, content: bytes, code: int | None) -> Download:
        try:
            info = inspect_image(content, self.config.max_pixels)
        except ImageError as error:
            raise RefusedError(error.status, str(error), code) from None
        return Download(
            url=url,
            status=DownloadStatus.OK,
            http_code=code,
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            width=info.width,
            height=info.height,
            format=info.format,
            final_url=final_url,
            fetched_at=datetime.now(UTC),
        )


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses alone; what it returns is what is connected to."""

    def __init__(self, allow_hosts: Sequence[str]) -> None:
        self._allowed = frozenset(allow_hosts)
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them are public or the host is allowed."""
        found = await self._inner.resolve(host, port, family)
        if host not in self._allowed:
            for entry in found:
                if not ipaddress.ip_address(entry["host"]).is_global:
                    reason = f"{host} stands for {entry['host']}, which is not a public address"
                    raise RefusedError(DownloadStatus.REFUSED_ADDRESS, reason)
        return found

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


def _explain(error: Exception) -> RefusedError:
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return RefusedError(DownloadStatus.BAD_URL, f"not a URL: {error}")
    return RefusedError(DownloadStatus.UNREACHABLE, f"{type(error).__name__}: {error}")


def _drain(done: queue.Queue[Download | BaseException | None]) -> None:
    try:
        while True:
            done.get_nowait()
    except queue.Empty:
        pass
