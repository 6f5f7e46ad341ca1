"""What the kit's strategies draw is what a run hands over, and our own components stand it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import find, given
from hypothesis import strategies as st
from yarl import URL

from laion_eo.builtin.downloaders.http.addresses import check_url, parse_url
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.filters.column import ColumnFilter
from laion_eo.builtin.filters.duplicates import Duplicates
from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold
from laion_eo.builtin.scorers.embedding import StoredEmbedding
from laion_eo.builtin.scorers.perceptual_hash import PerceptualHash
from laion_eo.builtin.scorers.similarity import ImageSimilarity, TextSimilarity
from laion_eo.component import Component, Context
from laion_eo.kinds import Filter, FitData, ScoreBatch, Scorer
from laion_eo.kinds.contract import (
    check_embeddings,
    check_pictures,
    check_table,
    check_tags,
    check_verdict,
)
from laion_eo.pipeline import RunResult
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.assemble import with_downloads, with_scores
from laion_eo.testing import strategies
from laion_eo.testing.colours import Colours, Letters
from laion_eo.types import DownloadStatus, Embeddings, Picture

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "plugins" / "README.md"
RESERVED = re.compile(r"(^|\.)(example|invalid|example\.(org|com|net))\.?$")


def made(cls: type[Any], **options: Any) -> Any:
    return cls(cls.Config.model_validate(options), Context())


class Sharpness(Scorer):
    needs_images = True
    """What the guide's example is of."""

    name = "sharpness"
    summary = "how much neighbouring pixels differ"
    columns = pa.schema([("sharpness", pa.float32())])

    def score(self, batch: ScoreBatch) -> pa.Table:
        steps = [np.abs(np.diff(image.astype(float), axis=0)) for image in batch.images]
        means = [float(step.mean()) / 255 if step.size else 0.0 for step in steps]
        return pa.table([pa.array(means, pa.float32())], schema=self.columns)


def test_the_guides_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.S)
    (block,) = (block for block in blocks if "strategies.score_batches" in block)
    monkeypatch.setitem(
        sys.modules, "my_plugin", cast(ModuleType, SimpleNamespace(Sharpness=Sharpness))
    )
    guide: dict[str, Any] = {}
    exec(compile(block, str(GUIDE), "exec"), guide)
    guide["test_any_picture_has_a_sharpness"](made(Sharpness))


@given(strategies.captions())
def test_a_caption_fits_arrow(caption: str) -> None:
    assert pa.array([caption], pa.string()).to_pylist() == [caption]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda text: text == "",
        lambda text: len(text) == strategies.LONG,
        lambda text: "\0" in text,
        lambda text: "\u202e" in text,
        lambda text: "🛰" in text,
    ],
    ids=["empty", "long", "NUL", "bidi", "emoji"],
)
def test_captions_are_odd(wanted: Callable[[str], bool]) -> None:
    assert wanted(find(strategies.captions(), wanted))


def test_lone_surrogates_come_when_asked_for() -> None:
    def lone(text: str) -> bool:
        return any("\ud800" <= character <= "\udfff" for character in text)

    assert lone(find(strategies.captions(surrogates=True), lone))


@given(strategies.ids())
def test_ids_are_row_indices(number: int) -> None:
    assert 0 <= np.int64(number) == number


@given(strategies.urls())
def test_urls_are_valid_and_of_nobody(url: str) -> None:
    read = parse_url(url)
    check_url(read, ())
    assert read.raw_host
    assert RESERVED.search(read.raw_host)
    assert URL(url).host


@given(st.lists(strategies.hostile_urls(), min_size=1, unique=True))
@pytest.mark.usefixtures("blocked_network")
def test_hostile_urls_are_never_fetched(urls: list[str]) -> None:
    ends = list(made(HttpDownloader, retries=0, delay=0.0).download(urls))
    assert sorted(end.url for end in ends) == sorted(urls)
    for end in ends:
        assert end.status in (DownloadStatus.BAD_URL, DownloadStatus.REFUSED_ADDRESS), end
        assert end.reason
        assert end.http_code is None


@given(strategies.pictures())
def test_pictures_hold_the_contract(picture: Picture) -> None:
    check_pictures(made(ImageSimilarity), [picture])
    assert not picture.flags.writeable


@given(
    strategies.embeddings(dim=5),
    strategies.embeddings(3),
    strategies.embeddings(st.sampled_from([1, 7])),
)
def test_embeddings_hold_the_contract(any_: Embeddings, three: Embeddings, few: Embeddings) -> None:
    embedder = made(Colours)
    check_embeddings(embedder, any_, len(any_), 5)
    check_embeddings(embedder, three, 3, 16)
    assert len(check_embeddings(embedder, few, len(few))) in (1, 7)


@given(strategies.candidate_tables(), strategies.scored_tables())
def test_tables_have_the_columns_of_a_run(
    finished_run: RunResult, candidates: pa.Table, scored: pa.Table
) -> None:
    run = RunDir(finished_run.folder)
    assert candidates.schema.equals(with_downloads(run).schema)
    columns = {field.name: field.type for field in with_scores(run).schema}
    assert {field.name: field.type for field in scored.schema} == columns
    for table in (candidates, scored):
        table.validate(full=True)
        assert len(set(table["id"].to_pylist())) == len(table)


@given(
    strategies.scored_tables(
        pa.schema(
            [("near_similarity", pa.float64()), ("tags", pa.list_(pa.string())), ("n", pa.uint8())]
        ),
        nulls=True,
    )
)
def test_the_columns_of_a_third_partys_scorer(table: pa.Table) -> None:
    table.validate(full=True)
    assert all(-1 <= value <= 1 for value in table["near_similarity"].drop_null().to_pylist())


def test_a_column_without_a_strategy_is_named() -> None:
    with pytest.raises(ValueError, match=r"no strategy for the column 'when' of date32"):
        strategies.scored_tables(pa.schema([("when", pa.date32())]))


SCORERS = [
    made(ImageSimilarity),
    made(TextSimilarity, prompt="a green image"),
    made(TextSimilarity, prompts=["green", "grey"], negatives=["red"], column="greenness"),
    made(PerceptualHash),
    made(StoredEmbedding),
]


def named(component: Component) -> str:
    return component.name


@pytest.mark.parametrize("scorer", SCORERS, ids=named)
@given(batch=strategies.score_batches())
def test_scores_of_any_batch(scorer: Scorer, batch: ScoreBatch) -> None:
    table = check_table(scorer, scorer.score(batch), scorer.columns, len(batch.images))
    for name in table.column_names:
        assert table[name].null_count == 0


@pytest.mark.parametrize(
    "kept",
    [
        made(MinSize),
        made(SimilarityThreshold),
        made(Duplicates),
        made(ColumnFilter, column="text_similarity", min=0.1),
        made(ColumnFilter, column="caption", not_one_of=["", "NA"]),
    ],
    ids=named,
)
@given(table=strategies.scored_tables())
def test_verdicts_on_any_table(kept: Filter, table: pa.Table) -> None:
    kept.fit(FitData(table))
    check_verdict(kept, kept.keep(table), len(table))
    whole = kept.keep(table).mask.tolist()
    assert [kept.keep(table.slice(row, 1)).mask[0] for row in range(len(table))] == whole


@given(strategies.captions(surrogates=True))
def test_tags_of_any_caption(caption: str) -> None:
    tagger = made(Letters)
    check_tags(tagger, tagger.tag([caption]), 1)
