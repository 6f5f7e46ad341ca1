"""One request: its address checked, its turn awaited, its time limited, its faults explained."""

from __future__ import annotations

import asyncio
import errno
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TypeVar

import aiohttp
from yarl import URL

from laion_eo.builtin.downloaders.http.addresses import PublicResolver, check_url
from laion_eo.builtin.downloaders.http.headers import retry_after
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import Pace
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.errors import ConfigError
from laion_eo.types import DownloadStatus

T = TypeVar("T")
REDIRECTS = (301, 302, 303, 307, 308)
DNS_TTL = 300
KEEP_ALIVE = 5.0
DAY = 86_400.0
FIRST_WAIT = 0.5
"""Seconds before the second try; each further one waits twice as long, give or take half."""
_MAY_PASS = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT)


class Clock:
    """A deadline that stands still while we wait out of politeness.

    Args:
        seconds: Time allowed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> Clock:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            reason = f"no whole answer within {self._seconds:g} s"
            raise RefusedError(DownloadStatus.TIMEOUT, reason) from None

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Let time stand still while the block runs."""
        now = asyncio.get_running_loop().time
        deadline = self._timeout.when()
        if deadline is None:  # paused already, further out
            yield
            return
        left = deadline - now()
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._timeout.reschedule(now() + left)


async def with_retries(retries: int, work: Callable[[], Awaitable[T]]) -> T:
    """Return what comes of work that may be refused, after further tries where they can help.

    Args:
        retries: Further tries, at most.
        work: Begins anew each time.

    Raises:
        RefusedError: The last one.
    """
    for attempt in range(retries):
        try:
            return await work()
        except RefusedError as refusal:
            if not refusal.again:
                raise
        await asyncio.sleep(FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.5))
    return await work()


class Client:
    """Requests of one run.

    Args:
        options: The run's options.
        pace: The pace of all hosts.
        resolver: Who turns names into addresses; by default the system, public addresses alone.
    """

    def __init__(
        self, options: HttpOptions, pace: Pace, resolver: PublicResolver | None = None
    ) -> None:
        self.options = options
        self.pace = pace
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the pace limits; a second limit here could only deadlock with it
                resolver=resolver or PublicResolver(options.allow_hosts),
                ttl_dns_cache=DNS_TTL,
                keepalive_timeout=KEEP_ALIVE,
                ssl=_trust(options),
            ),
            # The module `body` unpacks, and bounds what comes out.
            auto_decompress=False,
            headers={
                "User-Agent": options.agent,
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=options.connect_timeout, sock_read=options.idle_timeout
            ),
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @asynccontextmanager
    async def get(self, url: URL, clock: Clock) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for one URL, without following redirects; the body is still to be read.

        A host that asks for it is left alone from then on, whatever it was asked for.

        Args:
            url: The URL.
            clock: Stands still while other requests to the host have precedence.

        Raises:
            RefusedError: No answer, or it broke off while the block read it.
        """
        check_url(url, self.options.allow_hosts)
        async with AsyncExitStack() as stack:
            async with clock.paused():
                await stack.enter_async_context(self.pace.turn(url.host or ""))
            with self._explained(None):
                answer = await stack.enter_async_context(
                    self._session.get(url, allow_redirects=False)
                )
            wait = self.wish(answer)
            if wait is not None:
                self.pace.leave_alone(url.host or "", wait, wait > self.options.max_wait)
            with self._explained(answer.status):
                yield answer

    def wish(self, answer: aiohttp.ClientResponse) -> float | None:
        """Return the seconds for which a server wants to be left alone, if the run obeys that."""
        if not self.options.retry_after or answer.status not in (429, 503):
            return None
        wait = retry_after(answer.headers.get("Retry-After"))
        if wait is None:
            return FIRST_WAIT if answer.status == 429 else None
        return min(DAY, wait)

    @contextmanager
    def _explained(self, code: int | None) -> Iterator[None]:
        """Turn the errors of the network into statuses.

        Args:
            code: The answer's status code, once there is one.
        """
        options = self.options
        try:
            yield
        except aiohttp.ConnectionTimeoutError:
            # The system knocked several times in that time: a further try would not help.
            reason = f"no connection within {options.connect_timeout:g} s"
            raise RefusedError(DownloadStatus.TIMEOUT, reason) from None
        except aiohttp.SocketTimeoutError:
            reason = f"no byte within {options.idle_timeout:g} s"
            raise RefusedError(DownloadStatus.TIMEOUT, reason, code, again=True) from None
        except (ssl.SSLError, ssl.CertificateError, aiohttp.ClientSSLError) as error:
            raise RefusedError(DownloadStatus.TLS_ERROR, _name(error), code) from None
        except aiohttp.InvalidURL as error:
            raise RefusedError(DownloadStatus.BAD_URL, f"not a URL: {error}") from None
        except aiohttp.ClientResponseError as error:
            raise RefusedError(DownloadStatus.BAD_ANSWER, _name(error), code) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error, code) from None


def _broken(error: Exception, code: int | None) -> RefusedError:
    if code is not None:  # the answer had begun
        return RefusedError(DownloadStatus.TRUNCATED, _name(error), code, again=True)
    passing = isinstance(error, aiohttp.ServerDisconnectedError) or (
        isinstance(error, OSError) and error.errno in _MAY_PASS
    )
    return RefusedError(DownloadStatus.UNREACHABLE, _name(error), again=passing)


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _trust(options: HttpOptions) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.ca_file and str(options.ca_file))
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"{options.ca_file}: no certificates (PEM) in there, which downloader.ca_file names: "
            f"{error}."
        ) from None
