from __future__ import annotations

import pytest

from laion_eo.pools.causes import likely_cause


@pytest.mark.parametrize(
    ("skipped", "line"),
    [
        (
            ["refused-address: 127.0.0.1"] * 3,
            "3 refused-address (127.0.0.1): private addresses have to be named: "
            "--set 'downloader.allow_hosts=[\"HOST\"]'",
        ),
        (
            ["robots-txt: not allowed", "robots-txt: not allowed", "dns-error: no address"],
            "2 robots-txt (not allowed); 1 dns-error (no address): the sites do not allow it",
        ),
        (["unreachable: "], "1 unreachable (no reason given): is there a network, and are these "
         "hosts still there?"),
        (["damaged PNG: truncated"], "1 not decoded (damaged PNG: truncated)"),
        (["its row names no file"] * 1200, "1,200 not decoded (its row names no file)"),
        (["blocked: a: b", "web-page: HTML"], "1 blocked (a: b); 1 web-page (HTML): all of them "
         "are on the block-list"),
    ],
)  # fmt: skip
def test_the_most_frequent_failure_is_explained(skipped: list[str], line: str) -> None:
    assert likely_cause(skipped) == line
