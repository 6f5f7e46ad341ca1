from __future__ import annotations

import pytest

from fakes.hub_card import card_faults

INFO = "{config_name: a, features: [], splits: [], download_size: 1, dataset_size: 1}"


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        ("license: [", "not YAML"),
        ("- a", "the metadata is not a mapping"),
        ("license: mine", "license 'mine' is not known"),
        ("language: en", "language is not a list"),
        ("language: [English]", "language: 'English' is not allowed"),
        ("size_categories: [many]", "size_categories: 'many' is not allowed"),
        ("task_categories: [all]", "task_categories: 'all' is not allowed"),
        ("tags: [a b]", "tags: 'a b' is not allowed"),
        (
            "configs: [{config_name: a, data_files: []}, {config_name: a, data_files: []}]",
            "a config_name twice",
        ),
        (
            "configs: [{config_name: a, data_files: [], default: true},"
            " {config_name: b, data_files: [], default: true}]",
            "several default configs",
        ),
        ("configs: [{config_name: a, data_files: [{path: x}]}]", "split and path wanted"),
        ("dataset_info: [{config_name: a}]", "dataset_info of a lacks a key"),
    ],
)
def test_each_fault_is_told(head: str, fault: str) -> None:
    (told,) = card_faults(f"---\n{head}\n---\n# Text\n")
    assert fault in told


@pytest.mark.parametrize(
    "card",
    ["# No metadata\n", f"---\nlicense: mit\nlanguage: [en, ceb]\ndataset_info: [{INFO}]\n---\n"],
)
def test_card_in_order(card: str) -> None:
    assert card_faults(card) == []
