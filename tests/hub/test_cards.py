from __future__ import annotations

from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.dataset.features import dataset_info
from laion_eo.errors import ConfigError
from laion_eo.hub.cards import (
    CardHead,
    ConfigEntry,
    DataFiles,
    extend_section,
    join_card,
    mark_section,
    merge_cards,
    size_category,
    split_card,
)
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


def made_card(config: str, rows: int, **head: object) -> str:
    """The card of one configuration."""
    files = DataFiles(split="train", path=f"{config}/train-*.parquet")
    entry = ConfigEntry(config_name=config, data_files=(files,), default=True)
    infos = [dataset_info(config, rows)]
    made = CardHead.model_validate({"configs": [entry], "dataset_info": infos, **head})
    return join_card(made, f"# Title\n\n{mark_section(config, config)}")


def merged(head: str, **options: bool) -> CardHead:
    """The head after ver-1, with 20 rows, was released to a repository with this head."""
    old = f"---\n{head}\n---\n"
    return split_card(merge_cards(made_card("ver-1", 20), old, "ver-1", **options))[0]


OTHER_INFO = {
    "config_name": "ver-0",
    "citation": "of others",
    "features": [
        {"name": "a", "dtype": {"class_label": {"names": {"0": "x"}}}},
        {"name": "b", "list": "string", "nullable": None},
    ],
    "splits": [
        {"name": "train", "num_bytes": 1, "num_examples": 900, "shards": 2},
        {"name": "test", "num_bytes": 1, "num_examples": 90},
    ],
}
OTHER_CONFIG = {"config_name": "ver-0", "data_files": ["a.csv", "b.csv"], "sep": ";"}
OTHER_HEAD = {
    "annotations_creators": ["found"],
    "extra_gated_fields": {"I agree": "checkbox", "Nothing": None},
    "published": "2023-09-21",
    "language": ["de"],
    "configs": [OTHER_CONFIG],
    "dataset_info": [OTHER_INFO],
}


def test_merging_keeps_what_others_wrote() -> None:
    found = merged(yaml.safe_dump(OTHER_HEAD)).dump()
    for key in ("annotations_creators", "extra_gated_fields", "published"):
        assert found[key] == OTHER_HEAD[key]
    written = yaml.safe_load(yaml.safe_dump(found))
    assert written["configs"][0] == OTHER_CONFIG
    assert written["dataset_info"][0] == OTHER_INFO
    assert written["language"] == ["de"]
    assert written["size_categories"] == ["1K<n<10K"]  # 900 + 90 + 20 rows


@pytest.mark.parametrize(
    ("head", "language", "configs"),
    [
        ("language: en\ntags:", ("en",), ("ver-1",)),
        ("language: []", (), ("ver-1",)),
        ("license: mit\nconfigs: {config_name: a, data_files: x.csv}", (), ("a", "ver-1")),
        ("dataset_info: {features: [{name: a, dtype: int64}]}", (), ("ver-1",)),
        ("released: 2023-09-21", (), ("ver-1",)),
        ("# nothing", (), ("ver-1",)),
    ],
)
def test_whatever_the_hub_accepts_is_read(
    head: str, language: tuple[str, ...], configs: tuple[str, ...]
) -> None:
    found = merged(head)
    assert found.language == language
    assert tuple(entry.config_name for entry in found.configs) == configs


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("a: [", "README.md: its head is not YAML: "),
        ("a: 2023-99-99", "README.md: its head is not YAML: month must be in 1..12"),
        (f"a: {'[' * 5000}", "README.md: its head is not YAML: "),
        ("- a", "README.md: its head is not a YAML mapping"),
        ("configs: [{data_files: x}]", "README.md: its head: 'configs.0.config_name' is missing"),
        ("language: [1]", r"README.md: its head: 'language.0': .*valid string \(got 1\)"),
        ("dataset_info: 3", "README.md: its head: 'dataset_info': a list was expected"),
    ],
)
def test_invalid_head_is_refused_in_one_line(head: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        merged(head)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("order", "default"),
    [
        ([("ver-0", False), ("ver-1", False)], "ver-0"),
        ([("ver-1", False), ("ver-0", False)], "ver-1"),
        ([("ver-1", False), ("ver-0", True)], "ver-0"),
        ([("ver-0", True), ("ver-1", False), ("ver-0", False)], "ver-0"),
    ],
)
def test_the_default_stays_until_another_is_chosen(
    order: list[tuple[str, bool]], default: str
) -> None:
    card = ""
    for config, chosen in order:
        card = merge_cards(made_card(config, 20), card, config, chosen)
    head, body = split_card(card)
    assert [entry.config_name for entry in head.configs if entry.default] == [default]
    assert [entry.config_name for entry in head.configs] == ["ver-0", "ver-1"]
    assert body.index("config ver-0") < body.index("config ver-1")


def test_third_party_text_is_not_replaced() -> None:
    with pytest.raises(ConfigError, match="README.md that laion-eo did not write"):
        merge_cards(made_card("ver-1", 20), "---\nlicense: mit\n---\n# By hand\n", "ver-1")


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
