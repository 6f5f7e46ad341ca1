from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.scorers.probe import Probe
from laion_eo.component import WARNINGS, Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, RunError
from laion_eo.kinds import AnchorSet, FitData, ScoreBatch
from laion_eo.testing import random_unit
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON, Embeddings

pytest.importorskip("sklearn")

DIM = 16
CLEAR, HARD = 0, 1
"""Directions: what the score sees of the domain, and what only the probe can learn."""


def drawn(seed: int, rows: int, *, clear: float, hard: float) -> Embeddings:
    vectors = random_unit(rows, DIM, seed)
    vectors[:, CLEAR] += clear
    vectors[:, HARD] += hard
    unit: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


RIGHT = drawn(1, 60, clear=1, hard=1)
LOW = drawn(2, 200, clear=-1, hard=-1)
ODD = drawn(3, 40, clear=1, hard=-1)
"""As clear as the anchors, and wrong: like the low rows in what the score does not see."""
ANCHORS = drawn(4, 50, clear=1, hard=1)


def scorer(seed: int = 0, **options: JSON) -> Probe:
    config = validate(Probe.Config, options, "run: [[scorers]] 1")
    return Probe(config, Context(seed=seed))


def anchors_of(vectors: Embeddings, texts: int = 0, sources: list[int] | None = None) -> AnchorSet:
    total = len(vectors)
    table = pa.table(
        {
            "source": sources or list(range(total)),
            "view": [0] * total if sources is None else list(range(total)),
            "text": pa.array([None] * (total - texts) + ["a road"] * texts, pa.string()),
            "text_similarity": vectors[:, CLEAR],
        }
    )
    return AnchorSet(table, vectors)


def fitted(judge: Probe, anchors: AnchorSet, vectors: Embeddings) -> Probe:
    rows = pa.table({"id": range(len(vectors)), "text_similarity": vectors[:, CLEAR]})
    judge.fit(FitData(rows, anchors, lambda some: vectors[some["id"].to_numpy()]))
    return judge


def score(
    judge: Probe, vectors: Embeddings, anchors: AnchorSet, *, own: bool = False
) -> list[JSON]:
    table = anchors.table if own else pa.table({"id": range(len(vectors))})
    seen, twins = (anchors.embeddings, anchors.twins()) if own else (vectors, None)
    embedder = Colours(Colours.Config(), Context())
    (column,) = judge.score(ScoreBatch(table, seen, seen, embedder, anchors, None, twins)).columns
    found: list[JSON] = column.to_pylist()
    return found


def test_it_tells_what_the_score_cannot() -> None:
    """Rows as high as the anchors in the score, but like the low rows in another way."""
    everything = np.concatenate([RIGHT, LOW, ODD])
    anchors = anchors_of(ANCHORS)
    judge = fitted(scorer(), anchors, everything)
    right, low, odd = (np.array(score(judge, some, anchors)) for some in (RIGHT, LOW, ODD))
    assert right.min() > odd.max()
    assert odd.mean() > low.mean()
    facts = judge.facts()
    assert facts["anchors"] == 50
    assert 200 <= facts["learned_from"] < 210
    assert facts["low_is"]["text_similarity"] == pytest.approx(np.percentile(ANCHORS[:, CLEAR], 5))
    assert WARNINGS not in facts


def test_anchors_are_scored_by_fits_without_them() -> None:
    """One that is unlike all others is low; a twin, left out with it, does not lift it."""
    strange = drawn(9, 1, clear=-0.2, hard=-1.5)
    twice = np.concatenate([ANCHORS, strange, strange])
    anchors = anchors_of(twice)
    judge = fitted(scorer(strength=100.0), anchors, np.concatenate([RIGHT, LOW]))
    own = score(judge, twice, anchors, own=True)
    assert None not in own
    inside = score(judge, twice, anchors)
    assert max(own[-2:]) < min(own[:50])
    assert max(own[-2:]) < min(inside[-2:]) - 1


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    anchors, rows = anchors_of(ANCHORS), np.concatenate([RIGHT, LOW])
    one, again, other = (
        score(fitted(scorer(seed), anchors, rows), rows, anchors, own=True) for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_too_few_low_rows_and_nothing_is_learned() -> None:
    anchors = anchors_of(ANCHORS)
    judge = fitted(scorer(percentile=0), anchors, RIGHT)
    assert score(judge, RIGHT, anchors) == [0.0] * 60
    assert score(judge, RIGHT, anchors, own=True) == [0.0] * 50
    (warning,) = judge.facts()[WARNINGS]
    assert "rows are low in every score, of which nothing can be learned" in warning


@pytest.mark.parametrize(
    "anchors",
    [
        anchors_of(np.repeat(ANCHORS[:1], 8, axis=0)),
        anchors_of(ANCHORS[:8], sources=[7] * 8),  # the views of one sample
    ],
)
def test_anchors_that_are_all_one_picture_teach_nothing(anchors: AnchorSet) -> None:
    judge = fitted(scorer(), anchors, np.concatenate([RIGHT, LOW]))
    assert score(judge, RIGHT, anchors) == [0.0] * 60
    assert score(judge, RIGHT, anchors, own=True) == [0.0] * 8
    (warning,) = judge.facts()[WARNINGS]
    assert "near-duplicates of one picture" in warning


def test_texts_are_not_learned_from() -> None:
    anchors = anchors_of(ANCHORS, texts=5)
    judge = fitted(scorer(), anchors, np.concatenate([RIGHT, LOW]))
    assert judge.facts()["anchors"] == 45
    own = score(judge, RIGHT, anchors, own=True)
    assert own[45:] == [None] * 5
    assert None not in own[:45]
    with pytest.raises(RunError, match="no anchor has a score 'text_similarity' of its own"):
        fitted(scorer(), anchors_of(ANCHORS, texts=50), LOW)


def test_every_named_score_must_be_low() -> None:
    judge = scorer(below=["a", "b"])
    assert judge.needs() == judge.needs_of_anchors() == ("a", "b")
    vectors = drawn(5, 60, clear=-1, hard=-1)
    rows = pa.table(
        {"id": range(60), "a": [0.0] * 40 + [1.0] * 20, "b": [1.0] * 20 + [0.0] * 39 + [None]}
    )
    own = {"a": [0.5] * 50, "b": [0.5] * 50}
    table = pa.table({"source": range(50), "view": [0] * 50, "text": pa.nulls(50, pa.string())})
    for name, values in own.items():
        table = table.append_column(name, pa.array(values))
    asked: list[list[int]] = []

    def read(some: pa.Table) -> Embeddings:
        asked.append(some["id"].to_pylist())
        found: Embeddings = vectors[some["id"].to_numpy()]
        return found

    judge.fit(FitData(rows, AnchorSet(table, ANCHORS), read))
    assert asked == [list(range(20, 40))]


def test_scikit_learn_is_asked_for_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer().check()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ConfigError, match=r"probe needs sklearn: pip install 'laion-eo\[learn\]'"):
        scorer().check()
