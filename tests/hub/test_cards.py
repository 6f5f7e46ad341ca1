from __future__ import annotations

import pytest
import yaml

from laion_eo.dataset.features import dataset_info
from laion_eo.errors import ConfigError
from laion_eo.hub.cards import (
    CardHead,
    ConfigEntry,
    DataFiles,
    join_card,
    mark_section,
    merge_cards,
    size_category,
    split_card,
)


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
