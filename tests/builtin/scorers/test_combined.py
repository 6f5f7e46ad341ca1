from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.scorers.combined import Combined
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, RunError
from laion_eo.kinds import AnchorSet, FitData, ScoreBatch
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON


def scorer(**options: JSON) -> Combined:
    config = validate(Combined.Config, {"columns": ["a", "b"], **options}, "run: [[scorers]] 1")
    return Combined(config, Context())


def data(rows: dict[str, JSON], own: dict[str, JSON], texts: int = 0) -> FitData:
    total = len(next(iter(own.values())))
    names = pa.array([None] * (total - texts) + ["a road"] * texts, pa.string())
    anchors = AnchorSet(pa.table({"text": names, **own}), np.zeros((total, 3), np.float32))
    return FitData(pa.table(rows), anchors)


def score(judge: Combined, rows: dict[str, JSON]) -> list[float | None]:
    table = pa.table(rows)
    nothing = np.zeros((table.num_rows, 3), np.float32)
    batch = ScoreBatch(table, nothing, nothing, Colours(Colours.Config(), Context()))
    (column,) = judge.score(batch).columns
    found: list[float | None] = column.to_pylist()
    return found


ROWS = {"a": [0.1, 0.9, 0.5, None], "b": [5, 1, 3, 3]}


def test_the_sum_is_of_scores_standardised_by_the_anchors() -> None:
    judge = scorer()
    judge.fit(data(ROWS, {"a": [0.4, 0.6, 9.0], "b": [2.0, 6.0, 9.0]}, texts=1))
    assert score(judge, ROWS) == [
        pytest.approx(-4 + 0.5), pytest.approx(4 - 1.5), pytest.approx(0 - 0.5), None
    ]  # fmt: skip
    assert judge.facts()["a"] == {
        "mean": pytest.approx(0.5), "standard_deviation": pytest.approx(0.1), "of": 2
    }  # fmt: skip


def test_the_sum_of_scores_standardised_by_the_candidates() -> None:
    judge = scorer(standard="candidates", column="both")
    judge.fit(data(ROWS, {"a": [None], "b": [None]}))
    a, b = np.array([0.1, 0.9, 0.5]), np.array([5.0, 1, 3, 3])
    want = (a - a.mean()) / a.std() + ((b - b.mean()) / b.std())[:3]
    assert score(judge, ROWS) == [*(pytest.approx(value, abs=1e-6) for value in want), None]
    assert judge.columns.names == ["both"]
    assert judge.needs_of_anchors() == ()


def test_a_score_that_is_the_same_for_all_adds_nothing() -> None:
    judge = scorer()
    judge.fit(data(ROWS, {"a": [0.1, 0.1, 0.1], "b": [2.0, 4.0, 6.0]}))
    (_, deviation) = (4.0, np.std([2, 4, 6]))
    assert score(judge, ROWS)[1] == pytest.approx((1 - 4) / deviation)


def test_too_few_anchors_with_a_score() -> None:
    judge = scorer()
    assert judge.needs_of_anchors() == ("a", "b")
    with pytest.raises(RunError, match="1 anchors have a score 'a' of their own, which is too few"):
        judge.fit(data(ROWS, {"a": [0.1, None, 0.4], "b": [1.0, 2.0, 3.0]}, texts=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["a"]}, "'columns': Tuple should have at least 2 items"),
        ({"columns": ["a", "b", "a"]}, "columns has 'a' twice"),
        ({"standard": "all"}, "'standard'"),
    ],
)
def test_options_that_are_refused(options: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scorer(**options)
    assert message in str(caught.value)


def test_a_column_without_numbers_is_refused() -> None:
    rows = {"a": ["x", "y"], "b": [1, 2]}
    with pytest.raises(ConfigError, match="the column 'a' holds string, and no numbers to sum"):
        scorer().fit(data(rows, {"a": [None], "b": [None]}))
