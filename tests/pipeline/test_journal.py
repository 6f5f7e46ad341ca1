from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from laion_eo.pipeline.journal import Journal, Row, read_journal, write_journal

ROW: Row = {
    "url": "http://x/ä\n",
    "bytes": 3,
    "reason": None,
    "at": datetime(2026, 1, 2, tzinfo=UTC),
}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    with Journal(tmp_path / "deep" / "journal") as journal:
        assert list(journal.rows()) == []
        journal.append(ROW)
        journal.append({"url": "b"})
        assert list(journal.rows()) == [ROW, {"url": "b"}]
    with Journal(tmp_path / "deep" / "journal") as journal:
        assert list(journal.rows()) == [ROW, {"url": "b"}]


@pytest.mark.parametrize("torn", [b"{", b'{"url": "c"', b'{"url": "' + b"x" * 200_000])
def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.append({"url": "a"})
    path.write_bytes(path.read_bytes() + torn)
    with Journal(path) as journal:
        journal.append({"url": "b"})
        assert list(journal.rows()) == [{"url": "a"}, {"url": "b"}]


def test_a_journal_that_is_one_torn_line_is_empty(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'{"url": ')
    with Journal(tmp_path / "journal") as journal:
        assert list(journal.rows()) == []


def test_other_values_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal, pytest.raises(TypeError, match="not bytes"):
        journal.append({"content": b"x"})  # type: ignore[dict-item]


def test_a_damaged_line_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    write_journal(path, [{"url": name} for name in "abcd"])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"b"', b'"B"')
    lines[2] = bytes(len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines) + b'{"url": "no checksum"}\n')
    assert list(read_journal(path)) == [{"url": "a"}, {"url": "d"}]
    assert "3 damaged lines are left out; their work is done again" in caplog.text


def test_a_journal_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "journal")) == []
