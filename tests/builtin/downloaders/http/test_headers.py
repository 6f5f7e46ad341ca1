from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.builtin.downloaders.http.headers import OPT_OUTS, opt_out


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["noai"], "noai"),
        (["all", "nofollow, NOIMAGEINDEX"], "noimageindex"),
        (["none"], "none"),
        (["laion-eo: noai"], "noai"),
        (["otherbot: noai, noindex"], None),
        (["otherbot: nofollow, laion-eo: noindex"], "noindex"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], "noindex"),
        (["nofollow, max-snippet: 20"], None),
        ([], None),
    ],
)
def test_x_robots_tag(values: list[str], word: str | None) -> None:
    assert opt_out(values, "laion-eo") == word


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=80)), st.text(max_size=20))
def test_any_headers_give_a_directive_or_none(values: list[str], token: str) -> None:
    assert opt_out(values, token) in {*OPT_OUTS, None}


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.text(max_size=80)),
    st.sampled_from(sorted(OPT_OUTS)),
    st.sampled_from(["{}", " {} ", "*:{}", "laion-eo: {}", "follow, {}", "otherbot: x, *: {}"]),
)
def test_no_other_header_hides_a_directive(others: list[str], word: str, form: str) -> None:
    assert opt_out([*others, form.format(word.upper())], "laion-eo") is not None
