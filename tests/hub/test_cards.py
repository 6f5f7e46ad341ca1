from __future__ import annotations

from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.hub.cards import extend_section, mark_section, merge_cards, size_category
from laion_eo.testing.strategies import captions


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (999, "n<1K"), (1000, "1K<n<10K"), (24_933, "10K<n<100K"), (112_985, "100K<n<1M"),
        (999_999_999, "100M<n<1B"), (10**9, "n>1B"),
    ],
)  # fmt: skip
def test_the_hubs_words_for_sizes(rows: int, word: str) -> None:
    assert size_category(rows) == word


CONFIGS = ("ver-0", "ver-1", "other.2")


def made(config: str, rows: int, text: str, **head: object) -> str:
    """The card of a run's dataset, in the words of the format."""
    files = [{"split": "train", "path": f"{config}/train-*.parquet"}]
    split = {"name": "train", "num_bytes": 8 * rows, "num_examples": rows}
    info = {"features": [{"name": "id", "dtype": "int64"}], "splits": [split], "download_size": 1}
    about = {
        "license": "mit",
        **head,
        "configs": [{"config_name": config, "data_files": files, "default": True}],
        "dataset_info": [{"config_name": config, **info}],
    }
    return f"---\n{yaml.safe_dump(about)}---\n# A\n\n{mark_section(config, text)}\n## B\n"


# What a plugin's section or a run file could say, our own marks among it.
TEXTS = st.one_of(
    captions(),
    st.sampled_from([mark_section(name, "x") for name in CONFIGS]),
    st.sampled_from([f"a\n<!-- end of config {name} -->\nb" for name in CONFIGS]),
    st.just("<!-- config ver-1 -->\nwithout an end"),
)
WORDS = st.lists(st.sampled_from(["en", "de", "satellite", "no"]), max_size=3)
CARDS = st.fixed_dictionaries(
    {
        name: st.builds(
            lambda name, rows, text, language, tags: made(
                name, rows, text, language=language, tags=tags
            ),
            st.just(name),
            st.integers(0, 10**6),
            TEXTS,
            WORDS,
            WORDS,
        )
        for name in CONFIGS
    }
)


def released(cards: dict[str, str], order: Sequence[str], default: str) -> str:
    """The card of a repository after these releases."""
    card = ""
    for name in order:
        card = merge_cards(cards[name], card, name, default=name == default)
    return card


@given(CARDS, st.permutations(CONFIGS), st.sampled_from(CONFIGS))
def test_releases_give_one_card_in_any_order(
    cards: dict[str, str], order: list[str], default: str
) -> None:
    card = released(cards, order, default)
    assert card == released(cards, CONFIGS, default)
    head = yaml.safe_load(card.split("---\n")[1])
    assert [entry["config_name"] for entry in head["configs"]] == sorted(CONFIGS)
    assert [entry["config_name"] for entry in head["configs"] if entry.get("default")] == [default]
    assert card.count("# A\n") == card.count("## B\n") == 1
    for name in CONFIGS:
        assert card.count(f"<!-- config {name} -->") == 1
        assert card.count(f"<!-- end of config {name} -->") == 1


@given(CARDS, st.sampled_from(CONFIGS))
def test_a_release_again_changes_nothing(cards: dict[str, str], again: str) -> None:
    card = released(cards, CONFIGS, "ver-0")
    assert merge_cards(cards[again], card, again) == card


@given(TEXTS, TEXTS)
def test_a_section_is_extended_inside_its_marks(text: str, more: str) -> None:
    card = extend_section(made("ver-0", 1, text), "ver-0", more)
    assert card.count("<!-- end of config ver-0 -->") == 1
    assert card.endswith("\n\n<!-- end of config ver-0 -->\n\n## B\n")
