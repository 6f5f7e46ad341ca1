from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.builtin.retrievers.replay import Replay
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.texts import clean_texts, clean_urls, raw_texts

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
    for row in ("0,-7,0.5", "0,7,inf", "0,7,1.5"):
        file.write_text(f"source,id,similarity,url,caption\n{row},u,c\n")
        with pytest.raises(DataError, match=r"x\.csv: rows whose id is negative, or"):
            replay(file).search(QUERIES, 3)
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        replay(tmp_path / "none.csv").search(QUERIES, 3)
    for text, reason in {
        '{"id": 1,': "line 1: ",
        "[]\nnull": "line 2: neither a result",
        "[7]": "line 1: neither a result",
        f'{{"id": {10**30}, "similarity": 1}}': "with id and similarity",
        '{"id": true, "similarity": 1}': "with id and similarity",
        '{"id": 1, "similarity": 1, "url": ["u"]}': "id 1 has the url",
        '{"id": 1, "similarity": 1e999}': "no cosine",
        '{"id": 1, "id": 2, "similarity": 1}': "a key twice",
        "[" * 10**6: "nested too deeply",
        '[{"id": 1, "similarity": 1}, {"id": 1, "similarity": 1}]': "",
    }.items():
        (tmp_path / "y.jsonl").write_text(text)
        wanted = (
            rf"cannot be read: .*({reason})" if reason else "an anchor that has the same id twice"
        )
        with pytest.raises(DataError, match=rf"y\.jsonl: {wanted}"):
            replay(tmp_path / "y.jsonl").search(QUERIES, 3)


BAD = b"caf\xe9 \0 \x1b[2J"


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_captions_that_are_not_utf8_come_as_they_are(tmp_path: Path, kind: str) -> None:
    """The stage that asked for them replaces what cannot stay, and counts it."""
    file = tmp_path / f"bad.{kind}"
    if kind == "csv":
        file.write_bytes(
            b'source,id,similarity,url,caption\n0,7,0.5,http://a/\xff,"' + BAD + b'"\n'
        )
    elif kind == "jsonl":
        text = BAD.replace(b"\0", b"\\u0000").replace(b"\x1b", b"\\u001b")
        hit = b'{"id": 7, "similarity": 0.5, "url": "http://a/\xff", "caption": "%s"}' % text
        file.write_bytes(hit)
    else:
        texts = {"url": raw_texts([b"http://a/\xff"]), "caption": raw_texts([BAD])}
        numbers = {"source": pa.array([0]), "id": pa.array([7]), "similarity": pa.array([0.5])}
        pq.write_table(pa.table(numbers | texts), file)
    found = replay(file)
    assert found.search(QUERIES, 1).ids[0, 0] == 7
    table = found.lookup(np.array([7], np.int64))
    assert clean_texts(table["caption"])[0].to_pylist() == ["caf\ufffd \ufffd \ufffd[2J"]
    assert clean_urls(table["url"])[0].to_pylist() == ["about:invalid#http://a/%FF"]


@pytest.mark.parametrize("option", [{"hops": 2}, {"distinct": 0.98}, {"until": 0.1}])
def test_options_that_search_again_are_refused(published: Path, option: dict[str, object]) -> None:
    config = Replay.Config.model_validate({"file": str(published), **option})
    with pytest.raises(ConfigError, match="recorded neighbours are all there is"):
        Replay(config, Context()).check()
