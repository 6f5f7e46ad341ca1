"""What a site wants of robots: robots.txt and /.well-known/tdmrep.json, read once per site."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from laion_eo.builtin.downloaders.http.addresses import parse_url
from laion_eo.builtin.downloaders.http.body import read_start
from laion_eo.builtin.downloaders.http.client import REDIRECTS, Client, Clock
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.robots import LIMIT, parse_robots
from laion_eo.types import JSON, DownloadStatus

REMEMBERED = 2048
"""Sites whose rules are kept in memory."""
RULES_MEMORY = 2 * 2**20
"""Bytes of rules kept, as they were sent: parsed, hostile ones take 80 times as much."""
MAX_CRAWL_DELAY = 30.0
"""Seconds: longer ones would let a single site hold up the end of a run for days."""
RULES_BYTES = LIMIT
"""What is read of each file of rules; the rest is ignored."""
RULES_REDIRECTS = 5
"""What RFC 9309 wants to be followed at least."""
FAILURE_SECONDS = 60.0
"""How long a site whose rules are unavailable is not asked again, for none of its URLs."""


@dataclass(frozen=True)
class _Site:
    """The rules of one site.

    Attributes:
        robots: The parsed robots.txt; ``None`` lets everything in.
        delay: Seconds that it wants between two requests.
        reserved: (location, whether mining is reserved there); the first match counts.
        size: Bytes of both.
        failure: Why nothing may be fetched, where the rules are unavailable.
        until: Until when that failure is believed, on the loop's clock.
    """

    robots: Protego | None = None
    delay: float = 0.0
    reserved: tuple[tuple[str, bool], ...] = ()
    size: int = 0
    failure: RefusedError | None = None
    until: float = 0.0


class SiteRules:
    """The rules of all sites that a run meets.

    Args:
        client: Reads them.
        failure_seconds: How long a site whose rules are unavailable is not asked again.
        memory: Bytes of rules kept.
    """

    def __init__(
        self,
        client: Client,
        failure_seconds: float = FAILURE_SECONDS,
        memory: int = RULES_MEMORY,
    ) -> None:
        self._client = client
        self._options = client.options
        self._failure_seconds = failure_seconds
        self._memory = memory
        self._sites: OrderedDict[URL, asyncio.Task[_Site]] = OrderedDict()
        self._held = 0

    async def check(self, url: URL) -> None:
        """Return if the site lets us have this URL.

        Raises:
            RefusedError: ``robots-txt``, ``tdm-reserved``, or how the site failed to answer.
        """
        if not (self._options.robots_txt or self._options.tdm_reservation):
            return
        site = await self._site(url.origin())
        if site.failure:  # with retries of its own: the URL's would not help
            raise RefusedError(site.failure.status, site.failure.reason, site.failure.code)
        if site.delay:
            self._client.rate_limits.throttle(url.host or "", site.delay)
        if site.robots and not site.robots.can_fetch(str(url), self._options.token):
            raise RefusedError(DownloadStatus.ROBOTS_TXT, f"robots.txt disallows {url.raw_path}")
        for location, reserved in site.reserved:
            if matches(location, url.raw_path_qs):
                if reserved:
                    reason = "tdmrep.json reserves text and data mining"
                    raise RefusedError(DownloadStatus.TDM_RESERVED, reason)
                return

    async def _site(self, origin: URL) -> _Site:
        task = self._sites.get(origin)
        if task and task.done() and (site := task.result()).failure:
            task = task if asyncio.get_running_loop().time() < site.until else None
        if task is None:
            task = asyncio.create_task(self._read(origin))
            self._sites[origin] = task
        self._sites.move_to_end(origin)
        while len(self._sites) > REMEMBERED or self._held > self._memory:
            _, oldest = self._sites.popitem(last=False)
            self._held -= oldest.result().size if oldest.done() else 0
        return await asyncio.shield(task)

    async def _read(self, origin: URL) -> _Site:
        try:
            site = await self._read_rules(origin)
        except RefusedError as error:
            until = asyncio.get_running_loop().time() + self._failure_seconds
            return _Site(failure=error, until=until)
        if self._sites.get(origin) is asyncio.current_task():  # not forgotten meanwhile
            self._held += site.size
        return site

    async def _read_rules(self, origin: URL) -> _Site:
        robots, delay, body, listed = None, 0.0, b"", b""
        if self._options.robots_txt:
            body = await self._client.retried(lambda: self._read_robots(origin))
            robots = parse_robots(body, self._options.token)
            delay = crawl_delay(robots, self._options.token)
        if self._options.tdm_reservation:
            listed = await self._read_tdm(origin, robots)
        reserved = parse_tdm(listed.decode("utf-8-sig", "replace"))
        return _Site(robots, delay, reserved, len(body) + len(listed))

    async def _read_robots(self, origin: URL) -> bytes:
        """Return the rules, none where there is no such file (RFC 9309, section 2.3.1).

        Raises:
            RefusedError: They cannot be read, so that everything is closed.
        """
        code, body = await self._get(origin / "robots.txt")
        if code == 429 or code >= 500:
            reason = f"robots.txt cannot be read (HTTP {code}), so nothing may be fetched"
            raise RefusedError(DownloadStatus.ROBOTS_TXT, reason, transient=True)
        return body

    async def _read_tdm(self, origin: URL, robots: Protego | None) -> bytes:
        url = origin / ".well-known" / "tdmrep.json"
        if robots and not robots.can_fetch(str(url), self._options.token):
            return b""
        try:
            return (await self._get(url))[1]
        except RefusedError:
            return b""  # no word of a reservation; the image's own headers are still heard

    async def _get(self, url: URL) -> tuple[int, bytes]:
        """Return the code of a file of rules, and its bytes for 200; 404 for redirects without end.

        Raises:
            RefusedError: No answer.
        """
        target, hops = url, 0
        try:
            async with Clock(self._options.timeout) as clock:
                while hops <= RULES_REDIRECTS:
                    code, body, location = await self._ask(target, clock)
                    if not location:
                        return code, body
                    hops += 1
                    target = parse_url(location, target)
        except RefusedError as error:
            if not hops:
                raise
            reason = f"{url.path} redirects to what cannot be read: {error}"
            raise RefusedError(
                DownloadStatus.ROBOTS_TXT, reason, transient=error.transient
            ) from None
        return 404, b""

    async def _ask(self, url: URL, clock: Clock) -> tuple[int, bytes, str | None]:
        """Return an answer's code, its content for 200, and where it redirects to."""
        async with self._client.get(url, clock) as answer:
            if answer.status in REDIRECTS:
                return answer.status, b"", answer.headers.get("Location")
            start = await read_start(answer, RULES_BYTES + 1) if answer.status == 200 else b""
            return answer.status, start, None


def crawl_delay(robots: Protego, token: str) -> float:
    """Return the seconds that a robots.txt wants between two requests, within reason."""
    return min(max(float(robots.crawl_delay(token) or 0.0), 0.0), MAX_CRAWL_DELAY)


def parse_tdm(text: str) -> tuple[tuple[str, bool], ...]:
    """Read a tdmrep.json: (location, whether mining is reserved), in its order.

    What is not a list of rules says nothing.

    Args:
        text: JSON: a list of objects with ``location`` (``*`` and a final ``$`` as in robots.txt)
            and ``tdm-reservation`` (0 or 1).
    """
    try:
        rules: JSON = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        return ()
    found = []
    for rule in rules:
        if isinstance(rule, dict) and isinstance(rule.get("location"), str):
            reserved = rule.get("tdm-reservation") in (1, "1", True)
            found.append((rule["location"], reserved))
    return tuple(found)


def matches(location: str, path: str) -> bool:
    """Tell whether a path matches a location with ``*``, and perhaps a final ``$``.

    In linear time, whatever a hostile site writes: no regular expression is made of it.

    Examples:
        >>> matches("/a/*.jpg$", "/a/b.jpg"), matches("/a/*.jpg$", "/a/b.jpg?x")
        (True, False)
    """
    first, *rest = location.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    offset = len(first)
    for part in rest:
        found = path.find(part, offset)
        if found < 0:
            return False
        offset = found + len(part)
    if not location.endswith("$"):
        return True
    if not rest:
        return offset == len(path)
    return path.endswith(rest[-1]) and len(path) - len(rest[-1]) >= offset - len(rest[-1])
