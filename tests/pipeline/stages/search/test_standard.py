from __future__ import annotations

import numpy as np
import pytest
from arcs import anchor_set, arc

from laion_eo.errors import DataError
from laion_eo.pipeline.stages.search.standard import Standard, nearest_other
from laion_eo.testing import random_unit


def cosine(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def test_an_anchor_is_compared_with_the_nearest_other_one() -> None:
    found = nearest_other(anchor_set(arc([0, 30, 90])))
    np.testing.assert_allclose(found, [cosine(30), cosine(30), cosine(60)], atol=1e-6)


def test_views_of_an_anchor_and_near_duplicates_do_not_count() -> None:
    # The second is a view of the first, the third a near-duplicate of it.
    found = nearest_other(anchor_set(arc([0, 20, 1, 50]), sources=[0, 0, 1, 2]))
    np.testing.assert_allclose(found, [cosine(50), cosine(19), cosine(19), cosine(30)], atol=1e-6)


def test_texts_do_not_count() -> None:
    standard = Standard.fitted(anchor_set(arc([0, 5, 40]), texts=[1]), percentile=0)
    assert standard.compared == 2
    assert standard.places.tolist() == [0, 2]
    assert standard.threshold == pytest.approx(cosine(40), abs=1e-6)


def test_the_threshold_is_a_percentile() -> None:
    standard = Standard.fitted(anchor_set(arc([0, 30, 90])), percentile=50)
    assert standard.threshold == pytest.approx(cosine(30), abs=1e-6)


@pytest.mark.parametrize("degrees", [[0.0], [0.0, 1.0]])
def test_anchors_that_do_not_differ_are_refused(degrees: list[float]) -> None:
    with pytest.raises(DataError, match="not two of them that differ"):
        Standard.fitted(anchor_set(arc(degrees)), percentile=1)


def test_the_nearest_anchor_is_the_exact_one_and_the_first_of_equals() -> None:
    anchors = random_unit(50, 16, seed=3)
    anchors = np.concatenate([anchors, anchors[:10]])
    standard = Standard.fitted(anchor_set(anchors), percentile=1)
    vectors = random_unit(5000, 16, seed=4)
    place, found = standard.nearest(vectors)
    exact = vectors.astype(np.float64) @ anchors.astype(np.float64).T
    np.testing.assert_array_equal(place, exact[:, :50].argmax(axis=1))
    np.testing.assert_array_equal(found, exact.max(axis=1).astype(np.float32))
