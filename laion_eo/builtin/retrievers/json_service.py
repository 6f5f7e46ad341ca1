"""Asks a JSON service many questions: a few at a time, with retries, and each only once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from laion_eo.addresses import host_address, written_host
from laion_eo.builtin.event_loop import in_thread
from laion_eo.config import UNQUOTED
from laion_eo.errors import DataError, RunError
from laion_eo.files import write_atomically
from laion_eo.redaction import redacted, without_login
from laion_eo.retrying import RetryPolicy, retry_after
from laion_eo.texts import one_line, parse_json
from laion_eo.types import JSON

logger = logging.getLogger("laion_eo")
Answer = TypeVar("Answer")
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Status codes after which a retry may succeed."""


def _check_service(url: str) -> str:
    """Return a service's URL, whose host everybody reads alike; paths are appended to it.

    Raises:
        PydanticCustomError: It is none. Not quoted: there may be a password in it.
    """
    try:
        host = written_host(url)
        if not url.lower().startswith(("http://", "https://")) or not host:
            raise ValueError("an http or https URL was expected")
        if set("?#") & set(url) or any(map(str.isspace, url)):
            raise ValueError("a URL without spaces, query and fragment was expected")
        if host.isascii():  # others are names, which aiohttp encodes
            host_address(host)
    except ValueError as error:
        raise PydanticCustomError(UNQUOTED, "{reason}", {"reason": str(error)}) from None
    return url


ServiceUrl = Annotated[str, AfterValidator(_check_service)]
"""Where a service is, such as ``http://host:1234``."""


class BadAnswerError(Exception):
    """An answer that cannot be believed; the message says why.

    Attributes:
        wait: Seconds that the service asks us to wait before a retry, if it says so.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _RefusedError(Exception):
    """The service refuses to answer, however often it is asked."""


@dataclass(frozen=True)
class Question:
    """One POST request.

    Attributes:
        path: Such as ``knn-service``.
        body: What is sent, as JSON.
    """

    path: str
    body: dict[str, JSON]


class Cache:
    """Answers on disk, one file each, named by a hash of service and question.

    A file holds the SHA-256 of its second line, and the answer in that: damage of any kind shows.
    Name and password in the service's URL are not part of the question.

    Args:
        folder: Where; ``None`` keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def file(self, url: str, question: Question) -> Path | None:
        """Return where the answer to a question is, once there is one."""
        if self._folder is None:
            return None
        service = redacted(without_login(url))  # a new password is no new service
        text = json.dumps([service, question.path, question.body], sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"

    def get(self, url: str, question: Question) -> JSON:
        """Return the answer; ``None`` if there is none.

        Raises:
            BadAnswerError: The file is damaged, or is of an earlier version.
        """
        file = self.file(url, question)
        try:
            content = file.read_bytes() if file else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadAnswerError(f"it cannot be read: {error.strerror}") from None
        if content is None:
            return None
        digest, _, text = content.partition(b"\n")
        if digest.decode("latin-1") != hashlib.sha256(text).hexdigest():
            raise BadAnswerError("it is damaged, or of an earlier version")
        try:
            return parse_json(text)
        except ValueError as error:
            raise BadAnswerError(f"it is damaged: {error}") from None

    def put(self, url: str, question: Question, answer: JSON) -> None:
        """Keep an answer; the file appears complete or not at all, and survives a loss of power."""
        if (file := self.file(url, question)) is not None:
            text = json.dumps(answer).encode()
            write_atomically(file, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


@dataclass
class JsonService:
    """A service by its URL.

    Attributes:
        url: Without the slash at its end.
        concurrency: Questions in progress at a time.
        timeout: Seconds for one try.
        policy: How often a question is asked, and after which waits.
        max_bytes: A longer answer is not believed.
        cache: Where answers are kept.
        sleep: Waits so many seconds before a retry.
        asked: Questions that went out.
        cached: Questions that the cache answered.
    """

    url: str = field(repr=False)
    concurrency: int
    timeout: float
    policy: RetryPolicy
    max_bytes: int
    cache: Cache
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    asked: int = 0
    cached: int = 0

    @property
    def shown(self) -> str:
        """The URL without a name and password: what is asked, and said in messages."""
        return without_login(self.url)

    def _login(self) -> dict[str, str]:
        """Return the header with the URL's name and password: UTF-8, where aiohttp has latin-1."""
        from yarl import URL

        url = URL(self.url)
        if url.user is None and url.password is None:
            return {}
        pair = f"{url.user or ''}:{url.password or ''}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode()}"}

    def get(self, path: str, check: Callable[[JSON], Answer]) -> Answer:
        """Return what ``GET path`` answers.

        Args:
            path: Such as ``indices-list``.
            check: Returns what is used of it, or raises :class:`BadAnswerError`.

        Raises:
            RunError: No answer that can be believed.
        """
        questions = [(Question(path, {}), "GET")]
        found: Answer = self._wait_for(questions, lambda _, answer: check(answer))[0]
        return found

    def ask(
        self,
        questions: Sequence[Question],
        check: Callable[[Question, JSON], Answer],
        progress: Callable[[int, int], None],
        before: Callable[[], None] = lambda: None,
    ) -> list[Answer]:
        """Return the checked answers, in the order of the questions.

        What was answered is kept: when a question fails in the end, asking again resumes there.
        Answers are checked before they are kept, and again when they are read.

        Args:
            questions: Each distinct.
            check: Returns what is kept of an answer (JSON), or raises :class:`BadAnswerError`. Of
                what it returned it returns the same.
            progress: Called with (done, total), like ``check`` in the thread of the event loop.
            before: Called before the first question goes out; not where all answers are kept.

        Raises:
            RunError: A question got no answer that can be believed; a kept one that cannot be used
                is named.
            DataError: The service refused a question.
        """
        found, unusable = self._known(questions, check)
        todo = [i for i, answer in enumerate(found) if answer is None]
        self.cached += len(questions) - len(todo)
        done = iter(range(len(questions) - len(todo) + 1, len(questions) + 1))

        def keep(question: Question, answer: JSON) -> Answer:
            kept = check(question, answer)
            self.cache.put(self.url, question, kept)
            progress(next(done), len(questions))
            return kept

        if not todo:
            return found
        try:
            before()
            answers = self._wait_for([(questions[i], "POST") for i in todo], keep)
        except RunError as error:
            raise RunError(f"{error} {unusable}".rstrip()) from None
        for i, answer in zip(todo, answers, strict=True):
            found[i] = answer
        return found

    def _known(
        self, questions: Sequence[Question], check: Callable[[Question, JSON], Answer]
    ) -> tuple[list[Any], str]:
        """Return what the cache has, ``None`` for the others, and what is wrong with it."""
        found: list[Any] = []
        refused: list[str] = []
        for question in questions:
            try:
                answer = self.cache.get(self.url, question)
                found.append(None if answer is None else check(question, answer))
            except BadAnswerError as error:
                found.append(None)
                refused.append(f"{self.cache.file(self.url, question)}: {error}")
        if not refused:
            return found, ""
        unusable = f"{len(refused)} of {len(questions)} kept answers cannot be used: {refused[0]}."
        logger.warning("%s They are asked for again.", unusable)
        return found, unusable

    def _wait_for(
        self, requests: Sequence[tuple[Question, str]], keep: Callable[[Question, JSON], Any]
    ) -> list[Any]:
        """Return all answers; wherever the caller is, in a notebook's event loop say."""
        with in_thread(self._all(requests, keep), "laion-eo-questions") as answers:
            return answers.result()

    async def _all(
        self, requests: Sequence[tuple[Question, str]], keep: Callable[[Question, JSON], Any]
    ) -> list[Any]:
        import aiohttp

        gate = asyncio.Semaphore(self.concurrency)
        limits = aiohttp.ClientTimeout(total=self.timeout)
        async with aiohttp.ClientSession(timeout=limits, headers=self._login()) as session:

            async def one(question: Question, method: str) -> Any:
                async with gate:
                    return await self._try(session, question, method, keep)

            tasks = [asyncio.ensure_future(one(*request)) for request in requests]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(
        self, session: Any, question: Question, method: str, keep: Callable[[Question, JSON], Any]
    ) -> Any:
        import aiohttp

        where = f"{self.shown}/{question.path}"
        failed = 0
        while True:
            asked = None
            try:
                self.asked += 1
                return keep(question, await self._fetch(session, where, method, question.body))
            except TimeoutError:
                reason = f"no answer within {self.timeout:g} s"
            except aiohttp.ClientError as error:
                reason = f"{type(error).__name__}: {one_line(error, 200)}"
            except BadAnswerError as error:
                reason, asked = str(error), error.wait
            except _RefusedError as error:
                raise DataError(f"{where}: {error}") from None
            failed += 1
            wait = self.policy.wait(failed, asked)
            if wait is None:
                tries = "1 try" if failed == 1 else f"{failed} tries"
                raise RunError(
                    f"{where}: {reason} ({tries}). Earlier answers are kept: run the same command "
                    "again to resume."
                )
            await self.sleep(wait)

    async def _fetch(self, session: Any, where: str, method: str, body: dict[str, JSON]) -> JSON:
        sent = {"json": body} if method == "POST" else {}
        async with session.request(method, where, allow_redirects=False, **sent) as response:
            content = await _bounded(response, self.max_bytes)
            # Some servers answer with what they were sent. Redacted before it is cut.
            start = " ".join(redacted(content[:4096].decode("utf-8", "replace")).split())[:120]
            if response.status in TRANSIENT:
                wait = retry_after(response.headers.get("Retry-After"))
                asks = "" if wait is None else f", asks to wait {wait:g} s"
                raise BadAnswerError(f"answered {response.status}: {start!r}{asks}", wait)
            if response.status != 200:
                raise _RefusedError(f"answered {response.status}: {start!r}")
            if "json" not in response.content_type:
                raise BadAnswerError(f"JSON expected, got {response.content_type}: {start!r}")
            try:
                return parse_json(content)
            except ValueError:
                raise BadAnswerError(f"not complete JSON: {start!r}") from None


async def _bounded(response: Any, limit: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > limit:
            raise BadAnswerError(f"an answer of more than {limit} bytes")
    return bytes(content)


def batched(values: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield consecutive lists of at most ``size`` values."""
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
