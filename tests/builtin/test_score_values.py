from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.builtin.score_values import known_of_images, values_of
from laion_eo.kinds import AnchorSet

ROWS = pa.table(
    {"source": range(4), "text": [None, None, "a field", None], "score": [1, 2, 9, None]}
)
ANCHORS = AnchorSet(ROWS, np.eye(4, dtype=np.float32))


def test_null_is_nan_and_whole_numbers_are_numbers() -> None:
    found = values_of(ROWS, "score")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1, 2, 9, np.nan])


def test_texts_and_anchors_without_a_score_are_left_out() -> None:
    assert known_of_images(ANCHORS, "score").tolist() == [1.0, 2.0]


def test_a_column_that_nobody_gave_the_anchors() -> None:
    assert known_of_images(ANCHORS, "other").tolist() == []
