"""What a site wants of robots: robots.txt and /.well-known/tdmrep.json, read once per site."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from laion_eo.builtin.http.body import read_start
from laion_eo.builtin.http.client import REDIRECTS, Client, Clock
from laion_eo.builtin.http.refusal import RefusedError
from laion_eo.types import JSON, DownloadStatus

REMEMBERED = 2048
"""Sites whose rules are kept in memory."""
RULES_BYTES = 500 * 1024
"""What RFC 9309 wants of robots.txt to be read; the rest is ignored."""
RULES_REDIRECTS = 5
FAILURE_SECONDS = 60.0
"""How long a site that cannot be reached is not asked again."""
MAX_CRAWL_DELAY = 30.0


@dataclass(frozen=True)
class _Site:
    """The rules of one site.

    Attributes:
        robots: The parsed robots.txt; ``None`` lets everything in.
        closed: Why nothing may be fetched, where robots.txt cannot be read.
        reserved: (location, whether mining is reserved there); the first match counts.
        failure: How the site failed to answer at all.
        until: Until when that failure is believed, on the loop's clock.
    """

    robots: Protego | None = None
    closed: str = ""
    reserved: tuple[tuple[str, bool], ...] = ()
    failure: RefusedError | None = None
    until: float = 0.0


class SiteRules:
    """The rules of all sites that a run meets.

    Args:
        client: Reads them.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._options = client.options
        self._sites: OrderedDict[URL, asyncio.Task[_Site]] = OrderedDict()

    async def check(self, url: URL) -> None:
        """Return if the site lets us have this URL.

        Raises:
            RefusedError: ``robots-txt``, ``tdm-reserved``, or how the site failed to answer.
        """
        if not (self._options.robots_txt or self._options.tdm_reservation):
            return
        site = await self._site(url.origin())
        if site.failure:
            raise RefusedError(
                site.failure.status, site.failure.reason, site.failure.code, site.failure.again
            )
        if site.closed:
            raise RefusedError(DownloadStatus.ROBOTS_TXT, site.closed)
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
            # What may pass is tried again by the URL's own retries; the rest is believed a while.
            now = asyncio.get_running_loop().time()
            assert site.failure
            task = None if site.failure.again or now > site.until else task
        if task is None:
            task = asyncio.create_task(self._read(origin))
            self._sites[origin] = task
        self._sites.move_to_end(origin)
        while len(self._sites) > REMEMBERED:
            self._sites.popitem(last=False)
        return await asyncio.shield(task)

    async def _read(self, origin: URL) -> _Site:
        try:
            robots, closed = None, ""
            if self._options.robots_txt:
                robots, closed = await self._read_robots(origin)
            if self._options.tdm_reservation and not closed:
                return _Site(robots, closed, await self._read_tdm(origin, robots))
            return _Site(robots, closed)
        except RefusedError as error:
            until = asyncio.get_running_loop().time() + FAILURE_SECONDS
            return _Site(failure=error, until=until)

    async def _read_robots(self, origin: URL) -> tuple[Protego | None, str]:
        """Return the rules, or why everything is closed (RFC 9309, section 2.3.1)."""
        code, text = await self._get(origin / "robots.txt")
        if code == 429 or code >= 500:
            return None, f"robots.txt cannot be read (HTTP {code}), so nothing may be fetched"
        if code != 200:
            return None, ""
        robots = Protego.parse(text)
        delay = robots.crawl_delay(self._options.token)
        if delay:
            self._client.pace.slow_down(origin.host or "", min(float(delay), MAX_CRAWL_DELAY))
        return robots, ""

    async def _read_tdm(self, origin: URL, robots: Protego | None) -> tuple[tuple[str, bool], ...]:
        url = origin / ".well-known" / "tdmrep.json"
        if robots and not robots.can_fetch(str(url), self._options.token):
            return ()
        try:
            code, text = await self._get(url)
        except RefusedError:
            return ()  # no word of a reservation; the image's own headers are still heard
        return parse_tdm(text) if code == 200 else ()

    async def _get(self, url: URL) -> tuple[int, str]:
        """Return the code and the text of a file of rules; 404 for a redirect without an end.

        Raises:
            RefusedError: No answer.
        """
        async with Clock(self._options.timeout) as clock:
            for _ in range(RULES_REDIRECTS + 1):
                async with self._client.get(url, clock) as answer:
                    location = answer.headers.get("Location")
                    if answer.status not in REDIRECTS or not location:
                        if answer.status != 200:
                            return answer.status, ""
                        return 200, (await read_start(answer, RULES_BYTES)).decode(
                            "utf-8", "replace"
                        )
                url = _join(url, location)
        return 404, ""


def _join(url: URL, location: str) -> URL:
    try:
        return url.join(URL(location))
    except ValueError as error:
        raise RefusedError(DownloadStatus.BAD_URL, f"redirect to no URL: {error}") from None


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
    place = len(first)
    for part in rest:
        found = path.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    if not location.endswith("$"):
        return True
    if not rest:
        return place == len(path)
    return path.endswith(rest[-1]) and len(path) - len(rest[-1]) >= place - len(rest[-1])
