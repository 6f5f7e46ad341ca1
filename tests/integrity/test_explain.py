from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from integrity.clean_runs import CLEAN_RUNS, Stop, go

from laion_eo import explain
from laion_eo.config import Choice
from laion_eo.errors import ConfigError, DataError
from laion_eo.integrity.stories.explanation import Story
from laion_eo.integrity.stories.judgements import judgements
from laion_eo.kinds import KINDS, ScoreBatch, Scorer
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON

THUMBNAIL, COPY = 12, 13
"""Rows of the pool: the small picture, and the copy of the first."""


def story(run: Path, what: int | str) -> Story:
    (found,) = explain(run, what).images
    return found


def outcomes(told: Story) -> dict[str, str]:
    return {judgement.filter: judgement.outcome for judgement in told.filters}


def table(run: Path, stage: str) -> list[dict[str, JSON]]:
    rows: list[dict[str, JSON]] = []
    for path in sorted((run / stage).glob("*.parquet")):
        rows += pq.ParquetFile(path).read().to_pylist()
    return rows


def test_every_candidate_has_its_story(tiny_run: Path) -> None:
    """Word for word what the tables say."""
    kept = {row["id"] for row in table(tiny_run, "verdicts") if row["kept"]}
    hits = table(tiny_run, "neighbors")
    scores = {row["id"]: row for row in table(tiny_run, "scores")}
    published = table(tiny_run, "dataset/ver-0")
    candidates = table(tiny_run, "candidates")
    assert len(candidates) > 8
    for candidate in candidates:
        told = story(tiny_run, candidate["id"])
        mine = [hit for hit in hits if hit["id"] == candidate["id"]]
        assert (told.url, told.caption) == (candidate["url"], candidate["caption"])
        assert (told.hits, told.anchors) == (len(mine), candidate["found_by"])
        assert told.best[0].fast_similarity == max(hit["fast_similarity"] for hit in mine)
        assert told.chosen == told.best[0]
        assert told.chosen.anchor_id == f"{200 + candidate['source']}.png"
        assert told.fetched is not None
        assert told.fetched.is_stored
        assert told.scores["image_similarity"] == scores[told.id]["image_similarity"]
        assert told.kept is (told.id in kept)
        assert (told.row is not None) is told.kept
        if told.row is not None:
            assert published[told.row.row]["id"] == told.id


def test_an_image_that_is_kept(tiny_run: Path) -> None:
    told = story(tiny_run, 0)
    assert set(outcomes(told).values()) == {"passed"}
    sides = {limit.column: limit for limit in told.filters[0].limits}
    assert (sides["width"].value, sides["width"].margin) == (300, 44)
    facts = json.loads((tiny_run / "manifest.json").read_text())["stages"]["verdicts"]["facts"]
    threshold = facts["similarity-threshold"]["image_similarity"]["threshold"]
    (image, _) = told.filters[1].limits
    assert (image.column, image.threshold) == ("image_similarity", threshold)
    assert image.margin == told.scores["image_similarity"] - threshold
    assert told.copies == (COPY,)
    assert told.reason is None


def test_an_image_that_is_too_small(tiny_run: Path) -> None:
    told = story(tiny_run, THUMBNAIL)
    assert told.dropped_by == "min-size"
    assert told.reason == "100 x 100 is below 256 x 256"
    assert list(outcomes(told).values()) == ["dropped", "not reached", "not reached"]
    assert [limit.margin for limit in told.filters[0].limits] == [-156, -156]
    assert all(limit.margin for limit in told.filters[1].limits)
    assert told.row is None


def test_a_copy(tiny_run: Path) -> None:
    told = story(tiny_run, COPY)
    assert told.duplicate_of == 0
    assert outcomes(told)["duplicates"] == "dropped"
    assert told.copies == ()


def test_by_url(tiny_run: Path) -> None:
    url = story(tiny_run, 3).url
    assert url is not None
    assert explain(tiny_run, url) == explain(tiny_run, url)
    assert story(tiny_run, url) == story(tiny_run, 3) == story(tiny_run, "3")


def test_as_json(tiny_run: Path) -> None:
    data = explain(tiny_run, 0).dump()
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_which_of_two_filters_of_a_name(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    small, large = {"use": "min-size", "width": 50, "height": 50}, {"use": "min-size"}
    for filters, thumbnail in (
        ([small, large], {"min-size": "passed", "min-size 2": "dropped"}),
        ([large, small], {"min-size": "dropped", "min-size 2": "not reached"}),
    ):
        go({**tiny_data, "filters": filters}, tmp_path / "run")
        assert outcomes(story(tmp_path / "run", THUMBNAIL)) == thumbnail
        assert set(outcomes(story(tmp_path / "run", 0)).values()) == {"passed"}


COLUMNS = [
    {"use": "column", "column": "text_similarity", "min": 0.5, "max": 0.999},
    {"use": "column", "column": "lang", "not_one_of": ["de", "fr"]},
    {"use": "column", "column": "status_reason", "nulls": "drop"},
    {"use": "column", "column": "width", "one_of": [300]},
]


def test_rules_on_columns(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    go({**tiny_data, "filters": COLUMNS}, tmp_path / "run")
    rows = {row["id"]: row for row in table(tmp_path / "run", "scores")}
    green, small = story(tmp_path / "run", 0), story(tmp_path / "run", THUMBNAIL)
    assert set(outcomes(green).values()) == {"passed"}
    assert list(outcomes(small).values()) == ["passed", "passed", "passed", "dropped"]
    assert small.reason == "width 100 is not one of 300"
    score = rows[0]["text_similarity"]
    least, most = green.filters[0].limits
    assert (least.rule, least.value, least.threshold) == ("min", score, 0.5)
    assert (most.rule, most.value, most.threshold) == ("max", score, 0.999)
    assert least.margin == score - 0.5 > 0
    assert most.margin == float(np.float32(0.999)) - score > 0
    (words,) = green.filters[1].limits
    assert (words.rule, words.value, words.threshold) == ("not_one_of", "en", ("de", "fr"))
    assert (words.margin, words.passes) == (None, True)
    assert [limit.passes for limit in small.filters[3].limits] == [False]
    data = explain(tmp_path / "run", 0).dump()
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_which_of_two_rules_dropped_it(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    """A bound on the very value, written with the digits of a float32, does not drop it."""
    run_dir = tmp_path / "run"
    go({**tiny_data, "filters": [COLUMNS[2]]}, run_dir)
    rows = sorted(table(run_dir, "scores"), key=lambda row: row["text_similarity"])
    middle = rows[len(rows) // 2]
    digits = float(str(np.float32(middle["text_similarity"])))
    at_least, at_most = {"min": digits}, {"max": digits}
    another = {"not_one_of": [digits]}
    cases: list[tuple[list[JSON], int]] = [
        ([at_least, another], 1),
        ([at_most, another], 1),
        ([another, at_least], 0),
    ]
    for rules, dropper in cases:
        filters = [{"use": "column", "column": "text_similarity", **rule} for rule in rules]
        go({**tiny_data, "filters": filters}, run_dir)
        named = list(outcomes(story(run_dir, middle["id"])).values())
        assert named == [*["passed"] * dropper, "dropped", *["not reached"] * (1 - dropper)]


class WidthOfLarge(Scorer):
    """The width of large pictures, and whether they are: null of small ones."""

    name = "width-of-large"
    summary = "for these tests"
    columns = pa.schema([("wide", pa.float64()), ("large", pa.bool_())])
    needs_images = True

    def score(self, batch: ScoreBatch) -> pa.Table:
        widths = [image.shape[1] for image in batch.images]
        columns = {"wide": [None if width < 200 else float(width) for width in widths]}
        large = {"large": [None if width < 200 else True for width in widths]}
        return pa.table(columns | large, schema=self.columns)


def test_a_value_that_is_missing(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    rules = [
        {"use": "column", "column": "wide", "min": 200, "nulls": "keep"},
        {"use": "column", "column": "large", "one_of": [True], "nulls": "keep"},
        {"use": "column", "column": "large", "nulls": "drop"},
    ]
    registry = Registry.discover([colours])
    kind = next(kind for kind in KINDS if kind.base is Scorer)
    registry.add_component(kind, WidthOfLarge)
    scorers = [*tiny_data["scorers"], {"use": "width-of-large"}]
    run({**tiny_data, "scorers": scorers, "filters": rules}, tmp_path / "run", (), registry)
    told = story(tmp_path / "run", THUMBNAIL)
    assert told.reason == "large has no value"
    assert list(outcomes(told).values()) == ["passed", "passed", "dropped"]
    wide, large, dropped = (judgement.limits[0] for judgement in told.filters)
    assert (wide.rule, wide.value, wide.margin, wide.passes) == ("min", None, None, True)
    assert (large.rule, large.value, large.threshold, large.passes) == (
        "one_of", None, (True,), True,
    )  # fmt: skip
    assert (dropped.rule, dropped.threshold, dropped.passes) == ("nulls", None, False)


@pytest.mark.parametrize(
    "options", [{"min": 10**400}, {"min": "noon"}, {"one_of": []}, {"min": {}}, {"mni": 1}, {}]
)
def test_options_of_another_version_end_nothing(options: dict[str, JSON]) -> None:
    choice = Choice.model_validate({"use": "column", "column": "width", **options})
    row = {"width": 300, "kept": True, "filter": None, "reason": None}
    (told,) = judgements([choice], {}, row, frozenset({"column"}))
    assert (told.outcome, told.limits) == ("passed", ())


def test_columns_of_a_plugin(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    CLEAN_RUNS["columns of a plugin"](tiny_data, tmp_path / "run")
    scores = story(tmp_path / "run", 0).scores
    assert scores["numbers"] == "2 numbers"
    assert scores["words"] == "a\x1b[31m"
    assert scores["flag"] is None


def test_a_download_that_failed(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    downloader = {**tiny_data["downloader"], "max_bytes": 4_000}
    filters = [{"use": "min-size", "width": 50, "height": 50}]  # the thumbnail is small enough
    go({**tiny_data, "downloader": downloader, "filters": filters}, tmp_path / "run")
    told = story(tmp_path / "run", 0)
    assert told.fetched is not None
    assert told.fetched.status == "too-large"
    assert told.fetched.meaning == "more bytes than the run allows"
    assert told.dropped_by == "download"
    assert set(outcomes(told).values()) == {"not reached"}
    assert told.image_error == "not downloaded (too-large)"
    assert told.lang is None


@pytest.mark.parametrize("stage", ["candidates", "downloads", "scores", "verdicts", "dataset"])
def test_a_run_that_has_not_ended(stage: str, tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    go(tiny_data, tmp_path / "run", (), Stop(stage, 0))
    found = explain(tmp_path / "run", 0)
    assert found.unfinished[0] == stage
    (told,) = found.images
    assert told.hits > 0
    assert (told.url is None) is (stage == "candidates")
    assert (told.fetched is None) is (stage in ("candidates", "downloads"))
    assert (told.kept is None) is (stage != "dataset")
    assert told.row is None
    if stage != "dataset":
        assert set(outcomes(told).values()) == {"not yet"}


def test_a_run_that_has_hardly_begun(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    go(tiny_data, tmp_path / "run", (), Stop("neighbors", 0))
    with pytest.raises(ConfigError, match="search is not complete"):
        explain(tmp_path / "run", 0)


def test_a_url_before_the_candidates(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    go(tiny_data, tmp_path / "run", (), Stop("candidates", 0))
    with pytest.raises(ConfigError, match="ask for an id"):
        explain(tmp_path / "run", "http://example.org/x.png")


def test_several_rows_of_a_url(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(tiny_data["retriever"]["pool"], pool)
    shutil.copytree(pool / "img_emb", tmp_path / "other/img_emb")
    (path,) = (pool / "metadata").glob("*.parquet")
    metadata = pq.ParquetFile(path).read()
    urls = metadata["url"].to_pylist()
    urls[1] = urls[0]
    place = metadata.schema.get_field_index("url")
    (tmp_path / "other/metadata").mkdir()
    changed = metadata.set_column(place, "url", pa.array(urls))
    pq.write_table(changed, tmp_path / "other/metadata" / path.name)
    data = deepcopy(tiny_data)
    data["retriever"]["pool"] = str(tmp_path / "other")
    go(data, tmp_path / "run")
    found = explain(tmp_path / "run", urls[0])
    assert {told.id for told in found.images} == {0, 1}
    assert sorted(told.duplicate_of is None for told in found.images) == [False, True]
    (kept,) = [told for told in found.images if told.duplicate_of is None]
    (other,) = [told for told in found.images if told.duplicate_of is not None]
    assert other.duplicate_of == kept.id
    assert other.id in kept.copies


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("100", " Did you mean '10'?"),
        ("99999999999999999999", ""),
        ("{url}x", " Did you mean '{url}'?"),
        ("http://127.0.0.1:9/green03.png", " Did you mean '"),
        ("", ""),
        ("\udcff\x1b[31m", ""),
    ],
)
def test_what_nobody_knows(asked: str, hint: str, tiny_run: Path) -> None:
    url = str(story(tiny_run, 3).url)
    with pytest.raises(ConfigError) as error:
        explain(tiny_run, asked.format(url=url))
    line = str(error.value)
    assert hint.format(url=url) in line
    assert line.isprintable()


def test_no_run(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        explain(tmp_path / "nothing", 0)
    with pytest.raises(ConfigError, match="no run directory"):
        explain(tiny_run / "dataset", 0)


@pytest.mark.parametrize("stage", ["neighbors", "candidates", "scores", "dataset/ver-0"])
def test_a_damaged_table_is_not_explained(stage: str, altered: Path) -> None:
    path = sorted((altered / stage).glob("*.parquet"))[-1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError) as error:
        explain(altered, 0)
    assert str(path) in str(error.value)
    assert "laion-eo verify" in str(error.value)
