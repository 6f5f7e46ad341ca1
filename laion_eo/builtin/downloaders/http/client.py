"""One request: address checked, rate limits kept, time limited, errors turned into statuses."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TypeVar
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from laion_eo.builtin.downloaders.http.addresses import PublicResolver, check_url
from laion_eo.builtin.downloaders.http.crawler import Crawler
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.errors import ConfigError
from laion_eo.retrying import RetryPolicy, retry_after
from laion_eo.types import DownloadStatus

T = TypeVar("T")
REDIRECTS = (301, 302, 303, 307, 308)
DNS_TTL = 300
"""Seconds for which a name's addresses are believed."""
KEEP_ALIVE = 5.0
"""Seconds for which an idle connection is kept for the host's next URL."""
FIRST_WAIT = 0.5
"""Seconds before the second try; each further one waits twice as long, give or take half."""
_TRANSIENT = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT)


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
            reason = f"no complete answer within {self._seconds:g} s"
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


class Client:
    """Requests of one run.

    Args:
        options: The run's options.
        rate_limits: Those of all hosts.
        resolver: Who turns names into addresses; by default the system, public addresses alone.
        crawler: Who asks, and by which way; by default directly, in the options' own words.
    """

    def __init__(
        self,
        options: HttpOptions,
        rate_limits: RateLimits,
        resolver: PublicResolver | None = None,
        crawler: Crawler | None = None,
    ) -> None:
        self.options = options
        self.crawler = crawler = crawler or Crawler(options.agent)
        self.rate_limits = rate_limits
        self._policy = RetryPolicy(options.retries + 1, FIRST_WAIT, options.max_wait, jitter=0.5)
        self._session = aiohttp.ClientSession(
            connector=_Connector(options, resolver or PublicResolver(_reachable(options, crawler))),
            # The module `body` unpacks, and bounds what comes out.
            auto_decompress=False,
            headers={
                "User-Agent": crawler.agent,
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

    async def retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what comes of work that may be refused, after retries where they can help.

        Args:
            work: Begins anew each time.

        Raises:
            RefusedError: The last one.
        """
        failed = 0
        while True:
            try:
                return await work()
            except RefusedError as refusal:
                failed += 1
                wait = self._policy.wait(failed, refusal.wait) if refusal.transient else None
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    @asynccontextmanager
    async def get(self, url: URL, clock: Clock) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for one URL, without following redirects; the body is still to be read.

        A host that asks us to back off is spared from then on, whatever it was asked for.

        Args:
            url: The URL.
            clock: Stands still while other requests to the host have precedence.

        Raises:
            RefusedError: No answer, or it broke off while the block read it.
        """
        check_url(url, self.options.allow_hosts)
        proxy = self.crawler.proxy_for(url, self.options.allow_hosts)
        headers = self.crawler.proxy_headers if proxy else None
        async with AsyncExitStack() as stack:
            async with clock.paused():
                await stack.enter_async_context(self.rate_limits.connection(url.host or ""))
            with self._explained(None):
                answer = await stack.enter_async_context(
                    self._session.get(
                        url, allow_redirects=False, proxy=proxy, proxy_headers=headers
                    )
                )
            wait = self.asked_wait(answer)
            if wait is not None:
                self.rate_limits.back_off(url.host or "", wait, wait > self.options.max_wait)
            with self._explained(answer.status):
                yield answer

    def asked_wait(self, answer: aiohttp.ClientResponse) -> float | None:
        """Return the seconds for which a server asks us to back off, if the run obeys that."""
        if not self.options.retry_after or answer.status not in (429, 503):
            return None
        wait = retry_after(answer.headers.get("Retry-After"))
        return FIRST_WAIT if wait is None and answer.status == 429 else wait

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
            # The system itself tries several times in that time: a retry would not help.
            reason = f"no connection within {options.connect_timeout:g} s"
            raise RefusedError(DownloadStatus.TIMEOUT, reason) from None
        except aiohttp.SocketTimeoutError:
            reason = f"no byte within {options.idle_timeout:g} s"
            raise RefusedError(DownloadStatus.TIMEOUT, reason, code, transient=True) from None
        except (ssl.SSLError, ssl.CertificateError, aiohttp.ClientSSLError) as error:
            raise RefusedError(DownloadStatus.TLS_ERROR, _name(error), code) from None
        except aiohttp.InvalidURL as error:
            raise RefusedError(DownloadStatus.BAD_URL, f"not a URL: {error}") from None
        except aiohttp.ClientHttpProxyError as error:
            reason = f"the proxy answered {error.status} {error.message}"
            raise RefusedError(DownloadStatus.UNREACHABLE, reason) from None
        except aiohttp.ClientResponseError as error:
            raise RefusedError(DownloadStatus.BAD_ANSWER, _name(error), code) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error, code) from None


class _Connector(aiohttp.TCPConnector):
    """Connections of one run; none is open once it is closed.

    aiohttp forgets a TLS connection when it begins to close it, and the event loop keeps the socket
    until the server says goodbye too, for up to 30 s: where the loop ends first, it stays open.

    Args:
        options: The run's options.
        resolver: Who turns names into addresses.
    """

    def __init__(self, options: HttpOptions, resolver: PublicResolver) -> None:
        super().__init__(
            limit=0,  # rate_limits has one; a second here could only deadlock with it
            resolver=resolver,
            ttl_dns_cache=DNS_TTL,
            keepalive_timeout=KEEP_ALIVE,
            ssl=_trust(options),
        )
        self._made = WeakSet[asyncio.Transport]()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.transport is not None:
            self._made.add(connection.transport)
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        for transport in list(self._made):
            transport.abort()
        await super().close(abort_ssl=abort_ssl)
        await asyncio.sleep(0)  # the loop closes their sockets in its next turn


def _broken(error: Exception, code: int | None) -> RefusedError:
    if code is not None:  # the answer had begun
        return RefusedError(DownloadStatus.TRUNCATED, _name(error), code, transient=True)
    transient = isinstance(error, aiohttp.ServerDisconnectedError) or (
        isinstance(error, OSError) and error.errno in _TRANSIENT
    )
    return RefusedError(DownloadStatus.UNREACHABLE, _name(error), transient=transient)


def _reachable(options: HttpOptions, crawler: Crawler) -> set[str]:
    """Return the names that may stand for any address: the run's, and its proxy's."""
    proxy = crawler.proxy and crawler.proxy.raw_host
    return {*options.allow_hosts, *([proxy] if proxy else [])}


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
