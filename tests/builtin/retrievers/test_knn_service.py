from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from knn_server import Reply, Server, serve_knn

from laion_eo.builtin.retrievers.knn_service import KnnService
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError, LaionEOError, RunError
from laion_eo.testing import random_unit

POOL = random_unit(200, 16)
QUERIES = random_unit(12, 16, seed=1)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve_knn(POOL) as found:
        yield found


def service(server: Server, work: Path | None = None, **options: object) -> KnnService:
    """Without retries, whose waits and ends are tested with the module ``json_service``."""
    values = {"url": server.url, "index": "small", "retries": 0, **options}
    return KnnService(KnnService.Config.model_validate(values), Context(work_dir=work))


def test_neighbours_as_the_server_has_them(server: Server) -> None:
    found = service(server).search(QUERIES, 7)
    expected = np.argsort(-(QUERIES @ POOL.T), axis=1)[:, :7]
    np.testing.assert_array_equal(found.ids, expected)
    np.testing.assert_allclose(
        found.scores, np.take_along_axis(QUERIES @ POOL.T, expected, axis=1), atol=1e-6
    )


def test_nothing_that_loses_neighbours_is_asked_for(server: Server) -> None:
    service(server).search(QUERIES[:1], 3)
    _, body = server.asked[0]
    assert body["aesthetic_score"] == body["aesthetic_weight"] == ""
    assert not any(body[name] for name in ("deduplicate", "use_safety_model", "use_mclip"))
    options: dict[str, Any] = {
        "modality": "text",
        "deduplicate": True,
        "use_safety_model": True,
        "use_violence_detector": True,
        "aesthetic_score": 9,
        "aesthetic_weight": 0.5,
    }
    chosen = service(server, **options)
    chosen.search(QUERIES[:1], 3)
    _, body = server.asked[1]
    assert {name: body[name] for name in options} == options
    assert chosen.facts()["aesthetic_score"] == 9


def test_results_in_any_order_and_ties_by_id(server: Server) -> None:
    hits = [(7, 0.25), (9, 0.5), (4, 0.25)]
    answer = json.dumps([{"id": row, "similarity": score} for row, score in hits]).encode()
    server.spoil = lambda path, body, count: (200, "application/json", answer)
    assert service(server).search(QUERIES[:1], 4).ids.tolist() == [[9, 4, 7, -1]]


def test_the_url_may_be_the_client_s(server: Server) -> None:
    """clip-retrieval's own client is given the URL with the path."""
    service(server, url=f"{server.url}/knn-service").search(QUERIES[:1], 3)
    assert [path for path, _ in server.asked] == ["/knn-service"]


def test_questions_go_out_a_few_at_a_time(server: Server) -> None:
    service(server, concurrency=3).search(QUERIES, 5)
    assert server.most_at_once == 3


def test_equal_anchors_are_asked_once(server: Server) -> None:
    found = service(server).search(QUERIES[[0, 1, 0]], 5)
    assert len(server.asked) == 2
    np.testing.assert_array_equal(found.ids[0], found.ids[2])


def test_a_resumed_run_never_asks_twice(server: Server, tmp_path: Path) -> None:
    server.spoil = lambda path, body, count: (500, "text/plain", b"tired") if count > 5 else None
    with pytest.raises(RunError, match=r"/knn-service: answered 500: 'tired' \(1 try\)"):
        service(server, tmp_path, concurrency=1).search(QUERIES, 5)
    server.spoil = lambda path, body, count: None
    before = len(server.asked)
    again = service(server, tmp_path)
    found = again.search(QUERIES, 5)
    assert len(server.asked) - before == len(QUERIES) - 5
    assert again.facts()["cached"] == 5
    np.testing.assert_array_equal(found.ids, service(server).search(QUERIES, 5).ids)


def test_another_server_is_asked_itself(server: Server, tmp_path: Path) -> None:
    service(server, tmp_path).search(QUERIES[:2], 5)
    with serve_knn(POOL[:100]) as other:
        found = service(other, tmp_path).search(QUERIES[:2], 5)
        assert len(other.asked) == 2
    assert (found.ids < 100).all()


def test_progress_counts_what_was_kept(server: Server, tmp_path: Path) -> None:
    service(server, tmp_path).search(QUERIES[:3], 5)
    seen: list[tuple[int, int]] = []
    context = Context(work_dir=tmp_path, progress=lambda done, total: seen.append((done, total)))
    values = {"url": server.url, "index": "small"}
    KnnService(KnnService.Config.model_validate(values), context).search(QUERIES[:5], 5)
    assert seen == [(4, 5), (5, 5)]


def test_a_redirect_is_not_followed(server: Server) -> None:
    moved = (307, "text/plain", b"", {"Location": "/elsewhere"})
    server.spoil = lambda path, body, count: moved
    with pytest.raises(DataError, match="/knn-service: answered 307"):
        service(server).search(QUERIES[:1], 5)
    assert [path for path, _ in server.asked] == ["/knn-service"]


def test_other_options_are_other_questions(server: Server, tmp_path: Path) -> None:
    service(server, tmp_path).search(QUERIES[:1], 5)
    service(server, tmp_path, deduplicate=True).search(QUERIES[:1], 5)
    assert len(server.asked) == 2


def test_the_number_of_tries_is_the_run_s(server: Server) -> None:
    busy = (429, "text/plain", b"busy", {"Retry-After": "0"})
    server.spoil = lambda path, body, count: busy if count == 1 else None
    assert service(server, retries=1).search(QUERIES[:1], 5).ids[0, 4] >= 0
    assert len(server.asked) == 2


def test_a_search_may_run_inside_an_event_loop(server: Server, tmp_path: Path) -> None:
    """In a notebook there always is one, in the thread of the caller."""

    async def cell() -> Any:
        asked = service(server, tmp_path)
        return asked.search(QUERIES, 5), asked.lookup(np.array([3], np.int64))

    found, table = asyncio.run(cell())
    np.testing.assert_array_equal(found.ids, service(server).search(QUERIES, 5).ids)
    assert table["url"].to_pylist() == ["http://pool/3"]


def test_kept_answers_need_no_server(server: Server, tmp_path: Path) -> None:
    asked = service(server, tmp_path)
    found, table = asked.search(QUERIES, 5), asked.lookup(np.array([3], np.int64))
    again = service(server, tmp_path, url="http://127.0.0.1:9")
    with pytest.raises(RunError):
        again.search(QUERIES, 5)
    server.shutdown()
    server.server_close()
    again = service(server, tmp_path)
    np.testing.assert_array_equal(again.search(QUERIES, 5).ids, found.ids)
    assert again.lookup(np.array([3], np.int64)).equals(table)


HIT = b'[{"id": 1, "similarity": %s}]'


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((500, "text/plain", b"boom"), "answered 500: 'boom'"),
        ((200, "text/html", b"<html>welcome"), "JSON expected, got text/html: '<html>welcome'"),
        ((200, "application/json", b'[{"id": 1, "s'), "not complete JSON"),
        ((200, "application/json", b'{"error": 1}'), "a list of at most 5 results expected"),
        ((200, "application/json", b'[{"id": "1", "similarity": 1}]'), "with id and similarity"),
        ((200, "application/json", b'[{"id": -1, "similarity": 1}]'), "with id and similarity"),
        ((200, "application/json", b'[{"id": %d, "similarity": 1}]' % 2**63), "with id and simil"),
        ((200, "application/json", b"[" * 900), "not complete JSON"),
        ((200, "application/json", HIT % b"NaN"), "no cosine"),
        ((200, "application/json", HIT % (b"1" + b"0" * 400)), "no cosine"),
        ((200, "application/json", HIT % b"37.5"), "no cosine"),
        ((200, "application/json", HIT % b"true"), "no cosine"),
        ((200, "application/json", HIT % b"1e999"), "no cosine"),
        ((200, "application/json", HIT % b"[0.5]"), "with id and similarity"),
        ((200, "application/json", b'[{"id": true, "similarity": 1}]'), "with id and similarity"),
        ((200, "application/json", b'[{"id": 1.0, "similarity": 1}]'), "with id and similarity"),
        ((200, "application/json", b'[[{"id": 1, "similarity": 1}]]'), "with id and similarity"),
        ((200, "application/json", b'[{"id": 1, "id": 2, "similarity": 1}]'), "not complete JSON"),
        ((200, "application/json", b"[" + b"1" * 2000 + b"]"), "more than 1000 bytes"),
        ((200, "application/json", (HIT % b"0.5")[:-1] + b"," + (HIT % b"0.4")[1:]), "id twice"),
    ],
)
def test_what_cannot_be_believed(server: Server, reply: Reply, message: str) -> None:
    server.spoil = lambda path, body, count: reply
    with pytest.raises(RunError, match=f"{server.url}/knn-service: .*{message}.*1 try"):
        service(server, max_bytes=1000).search(QUERIES[:1], 5)


def test_a_refusal_is_final(server: Server) -> None:
    server.spoil = lambda path, body, count: (403, "text/plain", b"not you")
    with pytest.raises(DataError, match="answered 403: 'not you'"):
        service(server, retries=2).search(QUERIES[:1], 5)
    assert len(server.asked) == 1


def test_a_server_that_hangs(server: Server) -> None:
    def hang(path: str, body: Any, count: int) -> None:
        time.sleep(1)

    server.spoil = hang
    with pytest.raises(RunError, match=r"no answer within 0\.2 s \(1 try\)"):
        service(server, timeout=0.2).search(QUERIES[:1], 5)


def test_no_server_names_the_url() -> None:
    config = {"url": "http://127.0.0.1:9", "index": "small", "retries": 0}
    asked = KnnService(KnnService.Config.model_validate(config), Context())
    with pytest.raises(RunError, match=r"http://127\.0\.0\.1:9/indices-list: Client"):
        asked.search(QUERIES[:1], 5)


def test_an_unknown_index_lists_those_there_are(server: Server) -> None:
    with pytest.raises(DataError, match="no index 'medium'; it has small, large"):
        service(server, index="medium").search(QUERIES[:1], 5)


OPTIMIZED = """
import sys
import numpy as np
from laion_eo.builtin.retrievers.knn_service import KnnService
from laion_eo.component import Context
from laion_eo.errors import DataError
assert False, "python -O leaves this out"
config = KnnService.Config(url=sys.argv[1], index="medium", retries=0)
try:
    KnnService(config, Context()).search(np.eye(1, 16, dtype=np.float32), 5)
except DataError as error:
    print(error)
"""


def test_an_unknown_index_is_refused_under_python_o(server: Server) -> None:
    command = [sys.executable, "-O", "-c", OPTIMIZED, server.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no index 'medium'; it has small, large" in done.stdout
    assert server.asked == []


def test_metadata_comes_once_for_each_row(server: Server, tmp_path: Path) -> None:
    asked = service(server, tmp_path)
    ids = np.array([7, 3, 199, 7], np.int64)
    table = asked.lookup(ids)
    assert table["url"].to_pylist() == [f"http://pool/{row}" for row in ids]
    assert table["caption"].to_pylist() == 4 * [None]
    assert server.asked[0][1]["ids"] == [3, 7, 199]
    asked.lookup(ids)
    assert [path for path, _ in server.asked] == ["/metadata"]
    assert asked.lookup(ids[:0]).num_rows == 0


def test_ids_past_the_metadata_are_named(server: Server) -> None:
    def short(path: str, body: Any, count: int) -> Reply | None:
        rows = [{"id": i, "metadata": {"url": "u"}} for i in body["ids"] if i < 150]
        return 200, "application/json", json.dumps(rows).encode()

    server.spoil = short
    with pytest.raises(LaionEOError, match="/metadata: no metadata for id 180 and 0 others"):
        service(server).lookup(np.array([3, 180], np.int64))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b'{"id": 3, "metadata": {"url": 7}}', "id 3 has the url 7, which is no text"),
        (b'{"id": 3, "metadata": {"caption": ["a"]}}', "id 3 has the caption"),
        (b'{"id": 3, "metadata": null}', "a row with id and metadata expected"),
        (b'{"id": 3, "metadata": {}}, {"id": 3, "metadata": {}}', "the metadata of id 3 twice"),
        (
            b'{"id": 3, "metadata": {}}, {"id": 4, "metadata": {}}',
            "metadata of 2 rows instead of 1",
        ),
        (b'{"id": "3", "metadata": {}}', "a row with id and metadata expected"),
        (b'{"id": 4, "metadata": {}}', "no metadata for id 3"),
    ],
)
def test_metadata_that_cannot_be_believed(
    server: Server, tmp_path: Path, rows: bytes, message: str
) -> None:
    server.spoil = lambda path, body, count: (200, "application/json", b"[%s]" % rows)
    with pytest.raises(RunError, match=f"/metadata: {message}"):
        service(server, tmp_path).lookup(np.array([3], np.int64))
    server.spoil = lambda path, body, count: None
    table = service(server, tmp_path).lookup(np.array([3], np.int64))
    assert table["url"].to_pylist() == ["http://pool/3"]


def test_what_pandas_writes_for_missing_texts(server: Server) -> None:
    rows = b'[{"id": 3, "metadata": {"url": NaN, "caption": NaN, "TEXT": 2019, "width": NaN}}]'
    server.spoil = lambda path, body, count: (200, "application/json", rows)
    table = service(server).lookup(np.array([3], np.int64))
    assert table.to_pylist() == [{"url": None, "caption": "2019"}]


@pytest.mark.parametrize("names", [b'[1, "a"]', b'{"small": 1}', b'["small"', b"NaN"])
def test_a_bad_list_of_indices_ends_nothing_for_good(server: Server, names: bytes) -> None:
    server.names, good = names, server.names
    with pytest.raises(RunError, match="/indices-list: (a list of names expected|not complete)"):
        service(server).search(QUERIES[:1], 3)
    server.names = good
    assert service(server).search(QUERIES[:1], 3).ids[0, 2] >= 0


@pytest.mark.parametrize(
    "url",
    [
        "http://[v1.evil:x]/", "http://a\\@b/", "http://a\n.b/", "http://256.0.0.1/", "http://a:b/",
        "http://a:0", "ftp://a/", "http://", "a:1234", "http://a b/", "http://a/?q=secret",
        "http://a/#secret", "http://who:secret@[::1%25lo]/",
    ],
)  # fmt: skip
def test_a_url_that_is_read_in_several_ways_is_refused_and_not_repeated(url: str) -> None:
    values = {"url": url, "index": "images"}
    with pytest.raises(ConfigError, match="run: 'url'") as caught:
        validate(KnnService.Config, values, "run")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1", "https://knn.example.org/a/", "http://[::1]:80", "http://b\xfc.de"],
)
def test_a_service_may_be_anywhere(url: str) -> None:
    assert validate(KnnService.Config, {"url": url, "index": "images"}, "run").url == url
