from __future__ import annotations

import pytest

from laion_eo.hub.cards import size_category


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (999, "n<1K"), (1000, "1K<n<10K"), (24_933, "10K<n<100K"), (112_985, "100K<n<1M"),
        (999_999_999, "100M<n<1B"), (10**9, "n>1B"),
    ],
)  # fmt: skip
def test_the_hubs_words_for_sizes(rows: int, word: str) -> None:
    assert size_category(rows) == word
