from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.pipeline.stages.neighbors import nearest_anchor
from laion_eo.schema import NEIGHBORS


def hits(*rows: tuple[int, int, int, float]) -> pa.Table:
    """(source, view, id, similarity) each."""
    source, view, ids, score = zip(*rows, strict=True)
    columns = [source, view, range(len(rows)), ids, score]
    arrays = [pa.array(list(c), f.type) for c, f in zip(columns, NEIGHBORS, strict=True)]
    return pa.table(arrays, schema=NEIGHBORS)


def test_each_image_goes_to_the_anchor_nearest_to_it() -> None:
    table = nearest_anchor(hits((0, 0, 7, 0.5), (1, 0, 7, 0.9), (2, 0, 7, 0.7), (2, 0, 3, 0.8)))
    assert table["id"].to_pylist() == [7, 3]
    assert table["source"].to_pylist() == [1, 2]
    assert table["found_by"].to_pylist() == [3, 1]
    np.testing.assert_allclose(table["fast_similarity"], [0.9, 0.8], rtol=1e-6)


def test_ties_go_to_the_first_anchor_and_view() -> None:
    table = nearest_anchor(hits((5, 1, 7, 0.5), (5, 0, 7, 0.5), (4, 2, 7, 0.5)))
    assert (table["source"][0].as_py(), table["view"][0].as_py()) == (4, 2)


def test_views_of_one_anchor_count_once() -> None:
    assert nearest_anchor(hits((5, 0, 7, 0.5), (5, 1, 7, 0.6)))["found_by"].to_pylist() == [1]


def test_rows_come_by_anchor_then_similarity_then_id() -> None:
    rows = hits((1, 0, 4, 0.5), (1, 0, 9, 0.7), (0, 0, 8, 0.1), (1, 0, 2, 0.5))
    assert nearest_anchor(rows)["id"].to_pylist() == [8, 9, 2, 4]


def test_no_hits_give_no_candidates() -> None:
    assert nearest_anchor(NEIGHBORS.empty_table()).num_rows == 0
