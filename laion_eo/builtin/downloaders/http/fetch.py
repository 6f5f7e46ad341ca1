"""One URL: the rules of its site, redirects, retries, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp

from laion_eo.builtin.downloaders.http.addresses import parse_url
from laion_eo.builtin.downloaders.http.body import Reservation, read_body
from laion_eo.builtin.downloaders.http.client import REDIRECTS, Client, Clock
from laion_eo.builtin.downloaders.http.headers import opt_out
from laion_eo.builtin.downloaders.http.inspection import Inspector
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.rules import SiteRules
from laion_eo.builtin.hash_lists import HashList
from laion_eo.digests import HashedBytes
from laion_eo.types import Download, DownloadStatus

TRANSIENT = (429, 500, 502, 503, 504)
"""Status codes after which a retry may succeed."""


class Fetcher:
    """Fetches URLs of one run, each to its end.

    Args:
        client: Asks.
        blocked: Digests of URLs that are not fetched, and of contents that are not kept.
        allowed: Digests of the only contents that are kept; ``None`` keeps all. An empty list
            keeps nothing.
    """

    def __init__(self, client: Client, blocked: HashList, allowed: HashList | None = None) -> None:
        self._client = client
        self._options = client.options
        self._rules = SiteRules(client)
        self._blocked = blocked
        self._allowed = allowed

    async def fetch(self, url: str, reservation: Reservation) -> Download:
        """Fetch one URL, with retries where they can help; never raises for what a URL does.

        Args:
            url: Anything at all.
            reservation: The body's memory.
        """

        async def attempt() -> Download:
            reservation.release()
            return await self._try(url, reservation)

        try:
            return await self._client.retried(attempt)
        except RefusedError as refusal:
            return Download(
                url, refusal.status, refusal.reason, refusal.code, fetched_at=datetime.now(UTC)
            )

    async def _try(self, url: str, reservation: Reservation) -> Download:
        if self._blocked.has(HashedBytes(url.encode("utf-8", "surrogatepass"))):
            raise RefusedError(DownloadStatus.BLOCKED, "the URL is on the block-list")
        if url.startswith("file:"):
            content = self._read_file(url)
            return self._keep(url, url, content, Inspector(self._options, None), None)
        async with Clock(self._options.timeout) as clock:
            return await self._follow(url, reservation, clock)

    async def _follow(self, url: str, reservation: Reservation, clock: Clock) -> Download:
        target = parse_url(url)
        for _ in range(self._options.max_redirects + 1):
            async with clock.paused():
                await self._rules.check(target)
            async with self._client.get(target, clock) as answer:
                self._check_headers(answer)
                location = answer.headers.get("Location")
                if answer.status not in REDIRECTS or not location:
                    self._check_code(answer)
                    inspector = Inspector(self._options, answer.status)
                    content = await read_body(
                        answer, self._options.max_bytes, reservation, clock, inspector.peek
                    )
                    return self._keep(url, str(target), content, inspector, answer.status)
            target = parse_url(location, target, answer.status)
        reason = f"more than {self._options.max_redirects} redirects"
        raise RefusedError(DownloadStatus.TOO_MANY_REDIRECTS, reason, answer.status)

    def _check_headers(self, answer: aiohttp.ClientResponse) -> None:
        """Refuse what an answer's headers forbid."""
        if self._options.x_robots_tag:
            word = opt_out(answer.headers.getall("X-Robots-Tag", ()), self._options.token)
            if word:
                raise RefusedError(
                    DownloadStatus.X_ROBOTS_TAG, f"X-Robots-Tag: {word}", answer.status
                )
        if self._options.tdm_reservation:
            said = answer.headers.getall("tdm-reservation", ())
            if any(value.strip() == "1" for value in said):
                raise RefusedError(DownloadStatus.TDM_RESERVED, "tdm-reservation: 1", answer.status)

    def _check_code(self, answer: aiohttp.ClientResponse) -> None:
        """Return for 200; raise for the rest."""
        code = answer.status
        if code == 200:
            return
        reason = f"HTTP {code} {answer.reason or ''}".strip()
        wait = self._client.asked_wait(answer)
        if wait is None:
            raise RefusedError(DownloadStatus.HTTP_ERROR, reason, code, transient=code in TRANSIENT)
        reason += f", retry after {wait:g} s"
        raise RefusedError(DownloadStatus.RATE_LIMITED, reason, code, transient=True, wait=wait)

    def _read_file(self, url: str) -> HashedBytes:
        if not self._options.allow_files:
            reason = "file: URLs are read only if the run file says allow_files = true"
            raise RefusedError(DownloadStatus.BAD_URL, reason)
        path = Path(unquote(urlsplit(url).path))
        limit = self._options.max_bytes
        try:
            if not path.is_file():  # a device or a pipe may never end
                raise RefusedError(DownloadStatus.UNREACHABLE, f"no such file: {path.name}")
            with path.open("rb") as stream:
                content = stream.read(limit + 1)
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or error
            raise RefusedError(DownloadStatus.UNREACHABLE, f"{what}: {path.name}") from None
        if len(content) > limit:
            raise RefusedError(DownloadStatus.TOO_LARGE, f"more than {limit} bytes")
        return HashedBytes(content)

    def _keep(
        self, url: str, final_url: str, content: HashedBytes, inspector: Inspector, code: int | None
    ) -> Download:
        """Return the download of an image, if it is one and may be kept."""
        found = inspector.inspect(content)
        if self._blocked.has(content):
            raise RefusedError(DownloadStatus.BLOCKED, "the content is on the block-list", code)
        # Not `if self._allowed`: an empty list must keep out everything, not nothing.
        if self._allowed is not None and not self._allowed.has(content):
            reason = "the content is not on the allow-list"
            raise RefusedError(DownloadStatus.NOT_ALLOWED, reason, code)
        return Download(
            url=url,
            status=DownloadStatus.ANIMATED if found.animated else DownloadStatus.OK,
            http_code=code,
            content=content,
            sha256=content.sha256,
            md5=content.md5,
            width=found.width,
            height=found.height,
            format=found.format,
            final_url=final_url,
            fetched_at=datetime.now(UTC),
        )
