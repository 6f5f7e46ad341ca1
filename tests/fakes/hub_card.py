"""The loopback Hub's check of a dataset card's metadata: the words that the Hub documents."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from laion_eo.types import JSON

HEAD = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
SIZES = (
    "n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B",
)  # fmt: skip
TASKS = ("text-to-image", "image-to-text", "image-classification", "zero-shot-classification")
LICENSES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "odc-by", "odbl", "other")
LISTS = {
    "language": re.compile(r"[a-z]{2,3}"),
    "size_categories": re.compile("|".join(map(re.escape, SIZES))),
    "task_categories": re.compile("|".join(TASKS)),
    "tags": re.compile(r"[\w:.-]+"),
}


def card_faults(content: str) -> list[str]:
    """Return what is wrong with a card's YAML head; a card without one is in order."""
    match = HEAD.match(content)
    if match is None:
        return []
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [f"not YAML: {error}"]
    if not isinstance(data, dict):
        return ["the metadata is not a mapping"]
    return list(_faults(data))


def _faults(data: dict[str, JSON]) -> Iterator[str]:
    if data.get("license", "other") not in LICENSES:
        yield f"license {data['license']!r} is not known"
    for key, pattern in LISTS.items():
        values = data.get(key, [])
        if not isinstance(values, list):
            yield f"{key} is not a list"
            continue
        for value in values:
            if not isinstance(value, str) or not pattern.fullmatch(value):
                yield f"{key}: {value!r} is not allowed"
    configs = data.get("configs", [])
    names = [config["config_name"] for config in configs]
    if len(set(names)) != len(names):
        yield "a config_name twice"
    if sum(bool(config.get("default")) for config in configs) > 1:
        yield "several default configs"
    for config in configs:
        for file in config["data_files"]:
            if set(file) != {"split", "path"}:
                yield f"data_files of {config['config_name']}: split and path wanted"
    for info in data.get("dataset_info", []):
        if {"config_name", "features", "splits", "download_size", "dataset_size"} - set(info):
            yield f"dataset_info of {info.get('config_name')} lacks a key"
