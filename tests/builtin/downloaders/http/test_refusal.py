from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.types import DownloadStatus


def test_a_reason_is_one_line_that_no_terminal_obeys() -> None:
    reason = RefusedError(DownloadStatus.HTTP_ERROR, "a\x1b[31m\r\n b\u202e" + "x" * 400).reason
    assert reason == "a?[31m b?" + "x" * 291


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=400))
def test_any_reason_is_printable(text: str) -> None:
    reason = RefusedError(DownloadStatus.HTTP_ERROR, text).reason
    assert reason.isprintable()
    assert len(reason) <= 300
