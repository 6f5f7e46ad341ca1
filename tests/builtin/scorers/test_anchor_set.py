from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.scorers.anchor_set import AnchorSetSimilarity
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError
from laion_eo.kinds import AnchorSet, FitData, ScoreBatch
from laion_eo.testing import random_unit
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON, Embeddings


def scorer(**options: JSON) -> AnchorSetSimilarity:
    config = validate(AnchorSetSimilarity.Config, options, "run: [[scorers]] 1")
    return AnchorSetSimilarity(config, Context())


def anchors_of(vectors: Embeddings, texts: int = 0) -> AnchorSet:
    names = [None] * (len(vectors) - texts) + ["a field"] * texts
    columns = {"source": range(len(vectors)), "view": [0] * len(vectors)}
    return AnchorSet(pa.table({**columns, "text": pa.array(names, pa.string())}), vectors)


def scores_of(
    judge: AnchorSetSimilarity, vectors: Embeddings, anchors: AnchorSet, *, own: bool = False
) -> NDArray[np.float32]:
    """Return the scores of candidates, or of the anchors themselves; NaN for null."""
    rows = pa.table({"id": range(len(vectors))})
    judge.fit(FitData(rows, anchors, lambda some: vectors[some["id"].to_numpy()]))
    seen, twins = (anchors.embeddings, anchors.twins()) if own else (vectors, None)
    embedder = Colours(Colours.Config(), Context())
    table = pa.table({"id": range(len(seen))})
    batch = ScoreBatch(table, seen, seen, embedder, anchors, None, twins)
    (column,) = judge.score(batch).columns
    found: NDArray[np.float32] = column.to_numpy()
    return found


@pytest.fixture
def vectors() -> Embeddings:
    return random_unit(1_500, 8, 1)


@pytest.fixture
def anchors() -> AnchorSet:
    return anchors_of(random_unit(30, 8, 2))


def test_nearest_of_all_anchors(vectors: Embeddings, anchors: AnchorSet) -> None:
    want = (vectors @ anchors.embeddings.T).max(axis=1)
    np.testing.assert_allclose(scores_of(scorer(), vectors, anchors), want, atol=1e-6)


@pytest.mark.parametrize("top", [1, 4, 100])
def test_mean_of_the_nearest(vectors: Embeddings, anchors: AnchorSet, top: int) -> None:
    cosines = np.sort(vectors @ anchors.embeddings.T, axis=1)
    want = cosines[:, -top:].mean(axis=1)
    found = scores_of(scorer(how="top", top=top), vectors, anchors)
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_centroid(vectors: Embeddings, anchors: AnchorSet) -> None:
    centre = anchors.embeddings.sum(axis=0)
    want = vectors @ (centre / np.linalg.norm(centre))
    np.testing.assert_allclose(scores_of(scorer(how="centroid"), vectors, anchors), want, atol=1e-6)


def test_the_mean_of_the_candidates_is_subtracted(vectors: Embeddings, anchors: AnchorSet) -> None:
    """All images alike but for a small part: cosines near 1 become as far apart as that part is."""
    shared = np.eye(8, dtype=np.float32)[0] * 9
    images, bases = (some + shared for some in (vectors, anchors.embeddings))
    images, bases = (some / np.linalg.norm(some, axis=1)[:, None] for some in (images, bases))
    judge = scorer(how="max", centred=True, column="alike")
    found = scores_of(judge, images, anchors_of(bases))
    centred = [some - images.mean(axis=0) for some in (images, bases)]
    centred = [some / np.linalg.norm(some, axis=1)[:, None] for some in centred]
    np.testing.assert_allclose(found, (centred[0] @ centred[1].T).max(axis=1), atol=1e-5)
    assert scores_of(scorer(), images, anchors_of(bases)).min() > 0.9
    assert found.min() < 0.7
    assert judge.facts() == {"how": "max", "anchors": 30, "mean_of_rows": 1_500}


@pytest.mark.parametrize("how", ["max", "top", "centroid"])
def test_an_anchor_is_compared_with_the_others_alone(how: str) -> None:
    """Not with itself, nor with its near-duplicate; one without any other has no score."""
    apart = np.eye(4, dtype=np.float32)
    near = apart[0] + 0.05 * apart[1]
    bases = np.stack([apart[0], near / np.linalg.norm(near), (apart[0] + apart[1]) / np.sqrt(2)])
    judge = scorer(how=how, top=1)
    own = scores_of(judge, apart, anchors_of(bases.astype(np.float32)), own=True)
    assert own[0] == pytest.approx(np.sqrt(0.5), abs=1e-5)
    assert own[1] == pytest.approx(float(bases[1] @ bases[2]), abs=1e-5)
    assert own[2] < 0.99
    assert np.isnan(scores_of(judge, apart, anchors_of(apart[:1]), own=True)).all()


@pytest.mark.parametrize("how", ["max", "top", "centroid"])
def test_texts_count_only_where_there_are_no_images(how: str) -> None:
    apart = np.eye(4, dtype=np.float32)
    mixed, alone = anchors_of(apart[:2], texts=1), anchors_of(apart[1:2], texts=1)
    judge = scorer(how=how)
    assert scores_of(judge, apart, mixed).tolist() == [1, 0, 0, 0]
    assert scores_of(judge, apart, alone).tolist() == [0, 1, 0, 0]


def test_without_anchors_or_candidates_nothing_is_scored(anchors: AnchorSet) -> None:
    nothing = np.zeros((0, 8), np.float32)
    assert len(scores_of(scorer(centred=True), nothing, anchors)) == 0
    some = random_unit(2, 8, 3)
    assert np.isnan(scores_of(scorer(), some, anchors_of(nothing))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "mean"}, "'how'"),
        ({"top": 0}, "'top'"),
        ({"column": "text_similarity"}, "column 'text_similarity' is another score of the datas"),
        ({"column": "a b"}, "'column': String should match pattern"),
    ],
)
def test_options_that_are_refused(options: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scorer(**options)
    assert message in str(caught.value)
