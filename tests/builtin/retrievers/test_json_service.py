from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from knn_server import Reply, Server, serve_knn

from laion_eo.builtin.retrievers.json_service import (
    BadAnswerError,
    Cache,
    JsonService,
    Question,
)
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

    def __init__(
        self, server: Server, tries: int = 4, longest: float = 60.0, cache: Path | None = None
    ) -> None:
        self.waits: list[float] = []
        self.service = JsonService(
            server.url,
            concurrency=2,
            timeout=10.0,
            policy=RetryPolicy(tries, first_wait=0.5, longest_wait=longest),
            max_bytes=1000,
            cache=Cache(cache),
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
    cache.put("http://one", QUESTIONS[0], ["\ud800", 0.1])
    assert cache.get("http://one", QUESTIONS[0]) == ["\ud800", 0.1]
    assert cache.get("http://other", QUESTIONS[0]) is None
    assert cache.get("http://one", QUESTIONS[1]) is None
    assert Cache(None).get("http://one", QUESTIONS[0]) is None


def test_a_new_password_asks_no_question_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("http://who:old@one/knn", QUESTIONS[0], [1])
    for url in ("http://who:new@one/knn", "http://one/knn"):
        assert cache.get(url, QUESTIONS[0]) == [1]
    assert cache.get("http://who:new@one", QUESTIONS[0]) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "zeroed", "flipped", "earlier"])
def test_a_damaged_answer_is_asked_for_again_with_one_line(
    server: Server, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    asker = Asker(server, cache=tmp_path)
    wanted = asker.ask(QUESTIONS)
    file = asker.service.cache.file(server.url, QUESTIONS[2])
    assert file is not None
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[-5] ^= 1
    damaged = {"cut": content[:-3], "empty": b"", "zeroed": bytes(len(content)),
               "flipped": bytes(flipped), "earlier": b"[[1], [0.5]]"}  # fmt: skip
    file.write_bytes(damaged[damage])
    before = len(server.asked)
    assert Asker(server, cache=tmp_path).ask(QUESTIONS) == wanted
    assert len(server.asked) == before + 1
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith(f"1 of 4 kept answers cannot be used: {file}: it is damaged")
    assert line.endswith(". They are asked for again.")
    assert file.read_bytes() == content


def test_without_the_service_a_damaged_answer_is_named(server: Server, tmp_path: Path) -> None:
    asker = Asker(server, tries=1, cache=tmp_path)
    wanted = asker.ask(QUESTIONS)
    server.spoil = lambda path, body, count: busy(503)
    assert asker.ask(QUESTIONS) == wanted
    file = asker.service.cache.file(server.url, QUESTIONS[2])
    assert file is not None
    file.write_bytes(b"")
    with pytest.raises(
        RunError, match=r"answered 503.* 1 of 4 kept answers cannot be used: "
    ) as no:
        asker.ask(QUESTIONS)
    assert str(no.value).endswith(f"{file}: it is damaged, or of an earlier version.")


def test_a_kept_answer_is_checked_when_it_is_read(server: Server, tmp_path: Path) -> None:
    asker = Asker(server, cache=tmp_path)
    asker.service.cache.put(server.url, QUESTIONS[0], "nonsense")

    def check(question: Question, answer: JSON) -> JSON:
        if answer == "nonsense":
            raise BadAnswerError("nonsense")
        return answer

    (answer,) = asker.service.ask(QUESTIONS[:1], check, lambda done, total: None)
    assert answer != "nonsense"
    assert asker.service.cache.get(server.url, QUESTIONS[0]) == answer
