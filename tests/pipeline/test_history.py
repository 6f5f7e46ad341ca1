from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from laion_eo.pipeline.environment import machine, software
from laion_eo.pipeline.history import Ending, History
from laion_eo.pipeline.journal import write_journal
from laion_eo.pipeline.manifest import Maker, Session, StageDone

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def begun(name: str) -> Session:
    return Session(session=name, started=NOW, software=software(), machine=machine())


def done(name: str, step: str) -> StageDone:
    me = Maker(session=name, started=NOW, software=software(), machine=machine(), engine="local")
    counts = {"rows": 3, "$time": 1, "ü": 0}  # a plugin's reasons may be anything
    return StageDone(step=step, fingerprint="aa", digest="dd", counts=counts, made_by=(me,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of two sessions, of which the second was killed."""
    file = tmp_path / ".stages" / "history.jsonl"
    history = History(file)
    history.append("a", begun("a"))
    history.append("a", done("a", "anchors"))
    history.append("a", Ending(ended=NOW, outcome="failed", failed_in="scores", error="RunError"))
    history.append("b", begun("b"))
    history.append("b", done("b", "scores"))
    return file


def test_what_was_added_is_read_back(path: Path) -> None:
    history = History(path)
    first, second = history.sessions
    assert (first.session, first.outcome, first.failed_in, first.ended) == (
        "a",
        "failed",
        "scores",
        NOW,
    )
    assert first.stages == (done("a", "anchors"),)
    assert (second.session, second.outcome, second.ended) == ("b", None, None)
    history.append("b", Ending(ended=NOW, outcome="done"))
    assert history.sessions == History(path).sessions
    assert history.sessions[1].outcome == "done"
    assert history.damaged == 0


def test_it_is_only_appended_to(path: Path) -> None:
    before = path.read_bytes()
    History(path).append("c", begun("c"))
    assert path.read_bytes().startswith(before)


def test_none_is_empty(tmp_path: Path) -> None:
    assert History(tmp_path / "history.jsonl").sessions == ()
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize("line", range(5))
def test_a_damaged_line_leaves_the_others(line: int, path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"a", b"e", 1)
    path.write_bytes(b"".join(lines))
    history = History(path)
    assert history.damaged == 1
    found = {session.session: session for session in history.sessions}
    assert found.keys() == {"a", "b"}  # a step knows the session that completed it
    steps = [one.step for session in history.sessions for one in session.stages]
    assert steps == {1: ["scores"], 4: ["anchors"]}.get(line, ["anchors", "scores"])
    assert found["a"].outcome == (None if line == 2 else "failed")
    history.append("c", begun("c"))
    again = History(path)
    assert again.damaged == 1  # what is damaged stays, too
    assert [session.session for session in again.sessions][-1] == "c"


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_truncated_last_line_is_lost_alone(cut: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-cut])
    history = History(path)
    assert history.damaged == 1
    assert [one.step for one in history.sessions[0].stages] == ["anchors"]
    history.append("c", begun("c"))
    assert History(path).damaged == 0
    assert [session.session for session in History(path).sessions] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "row",
    [
        {"session": "a", "event": "begun"},
        {"session": "a", "event": "other", "about": "{}"},
        {"session": "a", "event": "stage", "about": "{}"},
        {"session": "a", "event": "ended", "about": "["},
    ],
)
def test_lines_of_something_else_count_as_damaged(row: dict[str, str], tmp_path: Path) -> None:
    write_journal(tmp_path / "history.jsonl", [{**row}])
    history = History(tmp_path / "history.jsonl")
    assert (history.sessions, history.damaged) == ((), 1)
