from __future__ import annotations

import inspect
import math
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tomli_w
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st

from laion_eo import explain
from laion_eo.builtin.filters.column import ColumnFilter
from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, RunError
from laion_eo.kinds import FitData
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.registry import Registry
from laion_eo.types import JSON, Verdict

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def column(name: str = "x", **options: JSON) -> ColumnFilter:
    config = validate(ColumnFilter.Config, {"column": name, **options}, "run: [[filters]] 1")
    return ColumnFilter(config, Context())


def judged(values: pa.Array, **options: JSON) -> Verdict:
    table = pa.table({"x": values})
    judge = column(**options)
    judge.check_columns(table.schema)
    judge.fit(FitData(table))
    return judge.keep(table)


def kept(values: pa.Array, **options: JSON) -> list[bool]:
    found: list[bool] = judged(values, **options).mask.tolist()
    return found


def refusal(kind: pa.DataType, **options: JSON) -> str:
    with pytest.raises(ConfigError) as caught:
        column(**options).check_columns(pa.schema([("x", kind)]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_bounds_are_inclusive_in_the_precision_of_the_column(kind: pa.DataType) -> None:
    below = np.nextafter(kind.to_pandas_dtype()(0.22), kind.to_pandas_dtype()(0))
    values = pa.array(np.array([0.22, below, 0.5, 0.6], kind.to_pandas_dtype()))
    assert kept(values, min=0.22, max=0.5) == [True, False, True, False]


def test_whole_numbers_are_compared_exactly() -> None:
    edge = (1 << 53) + 1
    assert kept(pa.array([edge - 1, edge, edge + 1, None]), min=edge) == [False, True, True, False]
    assert kept(pa.array([(1 << 64) - 1, 0], pa.uint64()), max=(1 << 64) - 2) == [False, True]


def test_times() -> None:
    hours = [NOON + timedelta(hours=hour) for hour in (-1, 0, 1)]
    for values in (
        pa.array(hours, pa.timestamp("us", tz="UTC")),
        pa.array(hours, pa.timestamp("ms", tz="Europe/Berlin")),
        pa.array([time.replace(tzinfo=None) for time in hours], pa.timestamp("s")),
    ):
        for noon in (NOON, NOON.replace(tzinfo=None), "2024-05-01T14:00:00+02:00"):
            assert kept(values, min=noon) == [False, True, True]
            assert kept(values, max=noon) == [True, True, False]
            assert kept(values, one_of=[noon]) == [False, True, False]


def test_lists_of_values() -> None:
    languages = pa.array(["en", "de", "EN", None])
    assert kept(languages, one_of=["en", "de"]) == [True, True, False, False]
    assert kept(languages, not_one_of=["de"]) == [True, False, True, False]
    assert kept(languages, not_one_of=["de"], nulls="keep") == [True, False, True, True]
    assert kept(pa.array(["a", "b"], pa.large_string()), one_of=["b"]) == [False, True]
    assert kept(pa.array([1, 2, 3], pa.int8()), one_of=[1, 3.0]) == [True, False, True]
    assert kept(pa.array([0.1, 0.3], pa.float32()), one_of=[0.1]) == [True, False]
    assert kept(pa.array([True, False, None]), one_of=[True]) == [True, False, False]
    assert kept(pa.array([True, False, None]), not_one_of=[True]) == [False, True, False]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_nan_is_no_value(kind: pa.DataType) -> None:
    numbers = np.array([math.nan, 1.0], kind.to_pandas_dtype())
    values = pa.concat_arrays([pa.array(numbers), pa.nulls(1, kind)])
    for options in ({"min": 0}, {"max": 2}, {"one_of": [1]}, {"not_one_of": [2]}):
        assert kept(values, **options) == [False, True, False]
        assert kept(values, nulls="keep", **options) == [True, True, True]
    assert judged(values, min=0).reasons == ["x has no value", "", "x has no value"]


def test_a_value_can_be_all_that_is_wanted() -> None:
    assert kept(pa.array(["", None, "en"]), nulls="drop") == [True, False, True]


def test_infinite_numbers_are_numbers() -> None:
    values = pa.array([-math.inf, math.inf])
    assert kept(values, min=0) == [False, True]
    assert kept(values, max=0) == [True, False]


def test_reasons_say_value_and_bound() -> None:
    scores = pa.array([0.21, 0.219999, 0.9], pa.float32())
    assert judged(scores, min=0.22, max=0.5).reasons == [
        "x 0.21 is below 0.22",
        "x 0.219999 is below 0.22",
        "x 0.9 is above 0.5",
    ]
    assert judged(pa.array([255, 300]), min=256).reasons == ["x 255 is below 256", ""]
    times = pa.array([NOON], pa.timestamp("us", tz="UTC"))
    assert judged(times, min="2024-05-02").reasons == [
        "x 2024-05-01T12:00:00+00:00 is below '2024-05-02'"
    ]
    words = pa.array(["de", "two\nlines"])
    assert judged(words, one_of=["en", "fr"]).reasons == [
        "x 'de' is not one of 'en', 'fr'",
        r"x 'two\nlines' is not one of 'en', 'fr'",
    ]
    assert judged(words, not_one_of=["de"]).reasons[0] == "x 'de' is one of 'de'"
    assert judged(pa.array([True]), not_one_of=[True]).reasons == ["x true is one of true"]


def test_facts_say_the_rule_and_how_many_rows_had_a_value() -> None:
    table = pa.table({"x": pa.array([0.1, None, math.nan, 0.3], pa.float32())})
    judge = column(min=0.2, nulls="keep")
    judge.fit(FitData(table))
    assert judge.facts() == {
        "column": "x", "min": 0.2, "nulls": "keep", "type": "float", "rows": 4, "without_value": 2,
    }  # fmt: skip


@given(
    st.lists(st.none() | st.floats(-1, 1, width=32), max_size=20),
    st.floats(-1, 1, width=32),
    st.floats(-1, 1, width=32),
)
def test_as_python_compares(values: list[float | None], least: float, most: float) -> None:
    least, most = sorted((least, most))
    want = [value is not None and least <= value <= most for value in values]
    array = pa.array(values, pa.float32())
    assert kept(array, min=least, max=most) == want
    chunked = pa.chunked_array([array.slice(0, 3), array.slice(3)])
    judge = column(min=least, max=most)
    judge.fit(FitData(pa.table({"x": chunked})))
    assert judge.keep(pa.table({"x": chunked})).mask.tolist() == want


def test_a_minimum_agrees_with_a_frozen_threshold() -> None:
    scores = np.random.default_rng(1).normal(0.22, 1e-7, 500).astype(np.float32)
    frozen = SimilarityThreshold(SimilarityThreshold.Config(image=-1, text=0.22), Context())
    table = pa.table({"image_similarity": scores, "text_similarity": scores})
    frozen.fit(FitData(table))
    want = frozen.keep(table).mask.tolist()
    assert 0 < sum(want) < 500
    assert kept(pa.array(scores), min=0.22) == want


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'no rule: give min, max, one_of, not_one_of or nulls = "drop".'),
        ({"nulls": "keep"}, 'no rule: give min, max, one_of, not_one_of or nulls = "drop".'),
        ({"min": 0.5, "max": 0.2}, "min 0.5 is above max 0.2."),
        ({"min": "2024-05-02", "max": "2024-05-01"}, "min '2024-05-02' is above max '2024-05-01'."),
        ({"min": "2024-05-02", "max": 3}, "min and max are a number and a time."),
        ({"min": "en"}, "min 'en' is neither a number nor a time: use one_of."),
        ({"max": True}, "max true is neither a number nor a time: use one_of."),
        ({"min": math.nan}, "'min': a finite number is wanted (got nan)."),
        ({"one_of": "en"}, "'one_of': a list was expected."),
        ({"min": [1]}, "'min': a number, a text, true, false or a time is wanted."),
        ({"min": 1, "nulls": "ignore"}, "'nulls': Input should be 'keep' or 'drop'"),
    ],
)
def test_options_that_say_nothing_or_nonsense(options: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        column(**options)
    assert str(caught.value).startswith(f"run: [[filters]] 1: {message}")


@pytest.mark.parametrize("option", ["one_of", "not_one_of"])
def test_an_empty_list(option: str) -> None:
    with pytest.raises(ConfigError, match=f"'{option}': .* at least 1 item"):
        validate(ColumnFilter.Config, {"column": "x", option: []}, "run")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (pa.string(), {"min": 1}, "'x' holds texts, which have no min or max: use one_of."),
        (pa.bool_(), {"max": 1}, "'x' holds true and false, which have no min or max: use one_of."),
        (pa.float32(), {"one_of": ["0.2"]}, "'x' holds numbers (float), and '0.2' is of another"),
        (pa.float32(), {"min": "2024-05-01"}, "'x' holds numbers (float), and '2024-05-01' is of"),
        (pa.int32(), {"min": 2.5}, "'x' holds whole numbers (int32), and 2.5 is of another kind."),
        (pa.int32(), {"max": 1 << 40}, "1099511627776 is beyond what int32 holds."),
        (pa.string(), {"one_of": ["en", 1]}, "'x' holds texts (string), and 1 is of another kind."),
        (pa.bool_(), {"one_of": ["true"]}, "'true' is of another kind."),
        (pa.timestamp("us", tz="UTC"), {"min": 3}, "(timestamp[us, tz=UTC]), and 3 is of another"),
        (pa.list_(pa.float16()), {"nulls": "drop"}, "which is no number, text, boolean or time."),
        (pa.string(), {"one_of": ["a"], "not_one_of": ["a", "b"]}, "could have none of one_of"),
        (pa.int32(), {"one_of": [1, 2], "min": 3}, "could have none of one_of"),
    ],
)
def test_a_rule_that_its_column_cannot_follow(
    kind: pa.DataType, options: dict[str, JSON], message: str
) -> None:
    line = refusal(kind, **options)
    assert line.startswith("column: 'x' ")
    assert message in line


# --- the paper's Figure 6 -----------------------------------------------------------------------


def figure_6() -> list[JSON]:
    """The lines of a run file that the docs show."""
    text = inspect.getdoc(ColumnFilter) or ""
    (block,) = text.split("```toml\n")[1:]
    found: list[JSON] = tomllib.loads(block.split("```")[0])["filters"]
    return found


def test_the_lines_of_figure_6_keep_what_the_figure_counts() -> None:
    languages = ["en", "en", "de", None, "en"]
    scores = [0.23, 0.21, 0.3, 0.4, 0.22]
    table = pa.table({"lang": languages, "text_similarity": pa.array(scores, pa.float32())})
    reasons = []
    for lines in figure_6():
        assert lines.pop("use") == ColumnFilter.name
        judge = column(lines.pop("column"), **lines)
        judge.fit(FitData(table))
        verdict = judge.keep(table)
        reasons += [reason for reason in verdict.reasons if reason]
        table = table.filter(pa.array(verdict.mask))
    assert table["text_similarity"].to_pylist() == pytest.approx([0.23, 0.22])
    assert reasons == [
        "lang 'de' is not one of 'en'",
        "lang has no value",
        "text_similarity 0.21 is below 0.22",
    ]


def test_a_run_with_the_lines_of_figure_6(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run_data["retriever"]["k"] = 52  # all of the pool, so that red pictures are there, too
    run_data["filters"] = [{"use": "min-size"}, *figure_6()]
    result = run(run_data, tmp_path / "run", registry=registry)
    rows = with_scores(RunDir(result.folder)).to_pylist()
    large = [row for row in rows if row["width"] >= 256]
    english = [row["id"] for row in large if row["lang"] == "en" and row["text_similarity"] >= 0.22]
    assert 20 < len(english) < len(large)
    published = load_dataset(str(result.dataset), "ver-0", split="train")
    assert sorted(published["id"]) == sorted(english)
    facts = result.manifest["stages"]["verdicts"]["facts"]
    assert facts["column"]["one_of"] == ["en"]
    assert (facts["column 2"]["min"], facts["column 2"]["type"]) == (0.22, "float")
    card = (result.dataset / "README.md").read_text("utf-8")
    assert "column lang, one_of [" in card
    assert "; column text_similarity, min 0.22, nulls drop, type float" in card


def test_a_time_of_toml_passes_through_a_run(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    rule = {"use": "column", "column": "fetched_at", "min": datetime(2020, 1, 1, tzinfo=UTC)}
    path.write_text(tomli_w.dumps(run_data | {"filters": [rule]}))
    result = run(path, tmp_path / "run", registry=registry)
    counts = result.manifest["stages"]["verdicts"]["counts"]
    assert counts == {"kept": counts["kept"]}
    assert run(path, tmp_path / "run", registry=registry).ran == []
    (limit,) = explain(result.folder, 0).images[0].filters[0].limits
    assert limit.threshold == "2020-01-01T00:00:00+00:00"
    assert limit.margin is not None
    assert limit.margin > 1e8  # seconds
    late = ["filters.column.min=2100-01-01"]
    with pytest.raises(RunError, match="fetched_at .* is below '2100-01-01'"):
        run(path, tmp_path / "run", late, registry)
