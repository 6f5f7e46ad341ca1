from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.builtin.retrievers.replay import Replay
from laion_eo.component import Context
from laion_eo.errors import DataError

QUERIES = np.zeros((4, 8), np.float32)
CSV = """source,url,filename,id,fast_similarity,caption
2,http://a/1.jpg,x.jpg,5000000001,0.75,"two
lines"
0,http://a/2.jpg,y.jpg,12,0.5,plain
2,http://a/3.jpg,z.jpg,13,0.875,"a ""quoted"" one"
"""


def replay(file: Path) -> Replay:
    return Replay(Replay.Config.model_validate({"file": str(file)}), Context())


@pytest.fixture
def published(tmp_path: Path) -> Path:
    file = tmp_path / "ver.csv"
    file.write_text(CSV)
    return file


def test_a_published_csv_gives_back_its_rows(published: Path) -> None:
    found = replay(published).search(QUERIES, 3)
    assert found.ids.tolist() == [[12, -1, -1], 3 * [-1], [13, 5000000001, -1], 3 * [-1]]
    assert found.scores[2, :2].tolist() == [0.875, 0.75]
    table = replay(published).lookup(np.array([5000000001, 12], np.int64))
    assert table["url"].to_pylist() == ["http://a/1.jpg", "http://a/2.jpg"]
    assert table["caption"].to_pylist() == ["two\nlines", "plain"]


def test_k_cuts_the_worst(published: Path) -> None:
    assert replay(published).search(QUERIES, 1).ids[:, 0].tolist() == [12, -1, 13, -1]


def test_our_parquet_is_as_good(published: Path, tmp_path: Path) -> None:
    columns = {
        "source": pa.array([2, 0, 2]),
        "url": ["http://a/1.jpg", "http://a/2.jpg", "http://a/3.jpg"],
        "id": pa.array([5000000001, 12, 13]),
        "fast_similarity": [0.75, 0.5, 0.875],
        "caption": ["two\nlines", "plain", 'a "quoted" one'],
    }
    folder = tmp_path / "ver-1"
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "train-0.parquet")
    mine, theirs = replay(folder), replay(published)
    np.testing.assert_array_equal(mine.search(QUERIES, 3).ids, theirs.search(QUERIES, 3).ids)
    ids = np.array([13, 12], np.int64)
    assert mine.lookup(ids).equals(theirs.lookup(ids))
    assert mine.pool_size().rows == 3


def test_recorded_answers(tmp_path: Path) -> None:
    answers = [
        [{"id": 9, "similarity": 0.5, "url": "u9", "caption": "c9"}, {"id": 8, "similarity": 0.6}],
        [],
        {"id": 7, "similarity": 0.25, "url": "u7"},
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(json.dumps(answer) for answer in answers))
    found = replay(file).search(QUERIES, 2)
    assert found.ids.tolist() == [[8, 9], [-1, -1], [7, -1], [-1, -1]]
    table = replay(file).lookup(np.array([9, 8], np.int64))
    assert table.to_pylist() == [{"url": "u9", "caption": "c9"}, {"url": None, "caption": None}]


def test_answers_over_laions_own_metadata(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps([{"id": 9, "similarity": 0.5, "URL": "u9", "TEXT": "c9"}]))
    table = replay(file).lookup(np.array([9], np.int64))
    assert table.to_pylist() == [{"url": "u9", "caption": "c9"}]


def test_the_answers_of_the_former_service(shared: Path) -> None:
    file = shared / "laion" / "real_knn_results.jsonl"
    found = replay(file).search(np.zeros((5, 8), np.float32), 1)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert found.ids[:, 0].tolist() == [row["id"] for row in rows]
    urls = replay(file).lookup(found.ids[:, 0])["url"].to_pylist()
    assert urls == [row["url"] for row in rows]


def test_equal_scores_go_to_the_lower_id(tmp_path: Path) -> None:
    file = tmp_path / "ties.csv"
    file.write_text("source,id,similarity,url,caption\n0,9,0.5,u,c\n0,7,0.5,u,c\n0,8,0.5,u,c\n")
    assert replay(file).search(QUERIES[:1], 2).ids.tolist() == [[7, 8]]


def test_other_anchors_are_refused(published: Path, tmp_path: Path) -> None:
    file = tmp_path / "before.csv"
    file.write_text("source,id,similarity,url,caption\n-1,9,0.5,u,c\n0,9,0.5,u,c\n")
    with pytest.raises(DataError, match="neighbours of anchor -1, but the run has 4 anchors"):
        replay(file).search(QUERIES, 3)
    with pytest.raises(DataError, match="neighbours of anchor 2, but the run has 2 anchors"):
        replay(published).search(QUERIES[:2], 3)


def test_what_is_no_record(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("url,caption\nu,c\n")
    with pytest.raises(DataError, match=r"x\.csv: no column 'source'; it has url, caption"):
        replay(file).search(QUERIES, 3)
    file.write_text("source,id,url,caption\n0,1,u,c\n")
    with pytest.raises(
        DataError,
        match="no column 'fast_similarity' or 'similarity'; it has source, id, url, caption",
    ):
        replay(file).search(QUERIES, 3)
    file.write_text("source,id,similarity,url,caption\n0,,0.5,u,c\n")
    with pytest.raises(DataError, match="rows without source, id or similarity"):
        replay(file).search(QUERIES, 3)
    file.write_text("source,id,similarity,url,caption\n0,many,0.5,u,c\n")
    with pytest.raises(DataError, match=r"x\.csv: cannot be read: .*many"):
        replay(file).search(QUERIES, 3)
    for row in ("0,-7,0.5", "0,7,inf"):
        file.write_text(f"source,id,similarity,url,caption\n{row},u,c\n")
        with pytest.raises(DataError, match=r"x\.csv: rows whose id is negative, or"):
            replay(file).search(QUERIES, 3)
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        replay(tmp_path / "none.csv").search(QUERIES, 3)
    for text, reason in {
        '{"id": 1,': "line 1",
        "[]\nnull": "line 2 is neither a result",
        "[7]": "line 1 is neither a result",
        f'{{"id": {10**30}}}': "too (large|big)",
    }.items():
        (tmp_path / "y.jsonl").write_text(text)
        with pytest.raises(DataError, match=rf"y\.jsonl: cannot be read: .*({reason})"):
            replay(tmp_path / "y.jsonl").search(QUERIES, 3)
