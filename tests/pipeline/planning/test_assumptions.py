from __future__ import annotations

from pathlib import Path

import pytest

from laion_eo.kinds import KINDS
from laion_eo.pipeline import plan
from laion_eo.pipeline.planning.assumptions import OPTIONS, SECTIONS, TABLES
from laion_eo.registry import Registry
from laion_eo.types import JSON


def assumed(
    data: dict[str, JSON], registry: Registry, tmp_path: Path, *overrides: str
) -> dict[str, JSON]:
    found = plan(data, tmp_path / "run", overrides, registry).assumed
    options = [one.option for one in found]
    assert len(set(options)) == len(options)
    assert all(one.why for one in found)
    return {one.option: one.value for one in found}


@pytest.fixture
def short(run_data: dict[str, JSON]) -> dict[str, JSON]:
    """The shortest run file whose components are there without an extra."""
    tables = ("anchors", "embedder", "language_tagger")
    options = {"downloader": {"use": "http", "contact": "me@example.org"}}
    pool = {key: run_data["retriever"][key] for key in ("use", "pool")}
    return {table: run_data[table] for table in tables} | options | {"retriever": pool}


def test_what_a_short_run_file_leaves_out(
    short: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    assert assumed(short, registry, tmp_path) == {
        "normalizer.use": "reflectance-gain",
        "augmenter.use": "none",
        "retriever.k": 1000,
        "scorers": ["image-similarity", "text-similarity"],
        "scorers.text-similarity.prompt": "a satellite image",
        "filters": ["min-size", "similarity-threshold", "duplicates"],
        "filters.min-size.width": 256,
        "filters.similarity-threshold.sigma": 1.5,
        "filters.duplicates.by": ["url", "sha256"],
        "publisher.use": "folder",
        "dataset.config": "ver-0",
        "dataset.pretty_name": "LAION-EO",
        "dataset.license": "cc-by-4.0",
        "dataset.tags": [],
        "dataset.contact": "",
        "embeddings.dtype": "float16",
        "engine.use": "local",
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ("retriever.k=7", {"retriever.k"}),
        ("seed=0", {"seed"}),  # said, though it is the default
        ("dataset.pretty_name=Dogs", {"dataset.pretty_name"}),
        ('normalizer={use = "none"}', {"normalizer.use"}),
        ("filters.min-size.width=64", {"filters", "filters.min-size.width"}),
        ("filters.similarity-threshold.text=0.1", {"filters"}),
        (
            'filters=[{use = "similarity-threshold", image = 0.8, text = 0.1}]',
            {
                "filters",
                "filters.min-size.width",
                "filters.similarity-threshold.sigma",
                "filters.duplicates.by",
            },
        ),
        (
            'scorers=[{use = "image-similarity"}, {use = "text-similarity", prompts = ["a dog"]}]',
            {"scorers", "scorers.text-similarity.prompt"},
        ),
    ],
)
def test_what_is_said_is_not_assumed(
    short: dict[str, JSON], registry: Registry, tmp_path: Path, change: str, gone: set[str]
) -> None:
    before = assumed(short, registry, tmp_path)
    after = assumed(short, registry, tmp_path, change)
    assert before.keys() - after.keys() == gone
    assert after.keys() <= before.keys()


def test_a_licence_that_nobody_chose_is_not_said(
    short: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    found = plan(short, tmp_path / "run", ["dataset.license=unknown"], registry).assumed
    (license_,) = (one for one in found if one.option == "dataset.license")
    assert (license_.value, license_.why) == ("unknown", "`release` refuses it: say which")


def test_every_reason_is_of_an_option_that_there_is(registry: Registry) -> None:
    from laion_eo.config import RunConfig

    kinds = {kind.table: kind for kind in KINDS}
    fields = RunConfig.model_fields
    assert kinds.keys() - {"anchors", "retriever"} == TABLES.keys()  # these two are always said
    for (table, name), options in OPTIONS.items():
        assert options.keys() <= registry.find(kinds[table], name).cls.Config.model_fields.keys()
    for table, options in SECTIONS.items():
        assert options.keys() <= type(fields[table].default).model_fields.keys()
