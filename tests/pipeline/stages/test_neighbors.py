from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from laion_eo.errors import ConfigError
from laion_eo.integrity.verify import verify
from laion_eo.pipeline import plan, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.neighbors import nearest_anchor
from laion_eo.registry import Registry
from laion_eo.schema import NEIGHBORS
from laion_eo.types import JSON


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


def test_what_an_image_anchor_found_is_not_a_texts() -> None:
    """Cosines to texts are on another scale: they decide among texts alone."""
    found = hits((0, 0, 7, 0.3), (1, 0, 7, 0.2), (2, 0, 7, 0.9), (2, 0, 8, 0.9), (3, 0, 8, 0.8))
    table = nearest_anchor(found, texts=[2, 3])
    by_id = dict(zip(table["id"].to_pylist(), table["source"].to_pylist(), strict=True))
    assert by_id == {7: 0, 8: 2}
    assert sorted(table["found_by"].to_pylist()) == [2, 3]


def test_texts_beside_images(run_data: dict[str, JSON], registry: Registry, tmp_path: Path) -> None:
    data = run_data | {
        "anchors": run_data["anchors"] | {"texts": ["a red image"]},
        "retriever": run_data["retriever"] | {"k": 12},
    }
    result = run(data, tmp_path, registry=registry)
    folder = RunDir(tmp_path)
    anchors = folder.read("anchors")
    assert anchors["source"].to_pylist() == [0, 1, 2, 3, 4]
    assert anchors["text"].to_pylist() == [None] * 4 + ["a red image"]
    stages = result.manifest["stages"]
    assert stages["anchors"]["counts"]["queries"] == 5
    neighbors, candidates = folder.read("neighbors"), folder.read("candidates")
    of_images = set(neighbors.filter(pc.less(neighbors["source"], 4))["id"].to_pylist())
    for row in candidates.to_pylist():
        assert (row["source"] < 4) == (row["id"] in of_images)
    red = candidates.filter(pc.equal(candidates["source"], 4))
    assert len(red) > 0
    assert all("red" in caption for caption in red["caption"].to_pylist())
    assert stages["candidates"]["facts"]["yield"]["texts_own"] == len(red)
    assert verify(tmp_path).faults == ()


@pytest.mark.parametrize("texts", [["a", "a"], [" "]])
def test_texts_say_something_once(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, texts: list[str]
) -> None:
    data = run_data | {"anchors": run_data["anchors"] | {"texts": texts}}
    with pytest.raises(ConfigError, match=r"twice|empty"):
        plan(data, tmp_path, registry=registry)


def test_a_plan_counts_texts(run_data: dict[str, JSON], registry: Registry, tmp_path: Path) -> None:
    data = run_data | {"anchors": run_data["anchors"] | {"texts": ["red", "green"]}}
    assert plan(data, tmp_path, registry=registry).stages[0].rows == 6
