from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from knn_server import Reply, Server, serve_knn

from laion_eo.builtin.retrievers.json_service import Cache, JsonService, Question
from laion_eo.errors import RunError
from laion_eo.retrying import RetryPolicy
from laion_eo.testing import random_unit
from laion_eo.types import JSON

QUESTIONS = [
    Question("knn-service", {"embedding_input": np.eye(4)[n].tolist(), "num_result_ids": 1})
    for n in range(4)
]


@pytest.fixture
def server() -> Iterator[Server]:
    with serve_knn(random_unit(20, 4)) as found:
        yield found


class Asker:
    """A service that waits for nobody, and notes how long it would have waited."""

    def __init__(self, server: Server, tries: int = 4, longest: float = 60.0) -> None:
        self.waits: list[float] = []
        self.service = JsonService(
            server.url,
            concurrency=2,
            timeout=10.0,
            policy=RetryPolicy(tries, first_wait=0.5, longest_wait=longest),
            max_bytes=1000,
            cache=Cache(None),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def ask(self, questions: list[Question]) -> list[JSON]:
        return self.service.ask(questions, lambda _, answer: answer, lambda done, total: None)


def busy(code: int, retry_after: str | None = None) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return code, "text/plain", b"busy", headers


def test_waits_double_from_try_to_try(server: Server) -> None:
    server.spoil = lambda path, body, count: busy(503)
    asker = Asker(server)
    with pytest.raises(RunError, match=r"answered 503: 'busy' \(4 tries\)\. Earlier answers are"):
        asker.ask(QUESTIONS[:1])
    assert asker.waits == [0.5, 1.0, 2.0]
    assert len(server.asked) == asker.service.asked == 4


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_in_seconds_is_obeyed(server: Server, code: int) -> None:
    server.spoil = lambda path, body, count: busy(code, "7") if count == 1 else None
    asker = Asker(server)
    assert len(asker.ask(QUESTIONS[:1])) == 1
    assert asker.waits == [7.0]


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_as_a_date_is_obeyed(server: Server, code: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.spoil = lambda path, body, count: busy(code, date) if count == 1 else None
    asker = Asker(server)
    asker.ask(QUESTIONS[:1])
    (wait,) = asker.waits
    assert 0.5 < wait <= 40.0  # whatever the machine has been doing since


def test_a_longer_wait_than_ours_is_not_begun(server: Server) -> None:
    server.spoil = lambda path, body, count: busy(429, "3600")
    asker = Asker(server)
    with pytest.raises(RunError, match=r"answered 429: 'busy', asks to wait 3600 s \(1 try\)"):
        asker.ask(QUESTIONS[:1])
    assert asker.waits == []
    assert len(server.asked) == 1


def test_a_stumble_is_retried(server: Server) -> None:
    replies: dict[int, Reply] = {1: busy(500), 2: (200, "application/json", b'[{"id": 1, "simil')}
    server.spoil = lambda path, body, count: replies.get(count)
    assert len(Asker(server).ask(QUESTIONS[:1])) == 1
    assert len(server.asked) == 3


def test_the_first_failure_ends_the_other_questions(server: Server) -> None:
    server.spoil = lambda path, body, count: busy(500)
    with pytest.raises(RunError):
        Asker(server, tries=1).ask(QUESTIONS)
    assert len(server.asked) < len(QUESTIONS)
    assert not [one for one in threading.enumerate() if one.name == "laion-eo-questions"]


def test_answers_are_cached_by_service_and_question(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("http://one", QUESTIONS[0], [1])
    assert cache.get("http://one", QUESTIONS[0]) == [1]
    assert cache.get("http://other", QUESTIONS[0]) is None
    assert cache.get("http://one", QUESTIONS[1]) is None
    (file,) = (path for path in tmp_path.rglob("*.json"))
    file.write_text("[1")  # a disk that was full
    assert cache.get("http://one", QUESTIONS[0]) is None
