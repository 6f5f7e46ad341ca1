"""Answers of a kNN service, mutated: a documented error in one line, or what they really say."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knn_server import Reply, Server, serve_knn

from laion_eo.builtin.retrievers.knn_service import KnnService
from laion_eo.component import Context
from laion_eo.errors import LaionEOError
from laion_eo.testing import random_unit, strategies
from laion_eo.texts import clean_texts, clean_urls, one_line

POOL = random_unit(20, 4)
QUERY = random_unit(1, 4, seed=1)
IDS = np.array([3, 7], np.int64)
K = 5
NUMBERS = [
    "0", "-0", "0.5", "-1", "1.0000001", "1.02", "1.5", "NaN", "Infinity", "-Infinity", "1e999",
    "1e-999", "9" * 400, "9" * 9999, "true", "null", '"0.5"', "[0.5]", "{}", str(2**63),
    str(2**63 - 1), "1.0", "01", "0x1", "1_000",
]  # fmt: skip
TEXTS = [
    r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', r'"\x"', '"a\nb"', '"é"', '""', "null", "7",
    "NaN", "[]", "{}", "true", '"http://a/b.jpg"', r'"\u202e"', '"' + "a" * 200_000 + '"',
]  # fmt: skip
WHOLE = [
    b"", b"null", b"[]", b"{}", b"[[]]", b"[null]", b'"a"', b"7", b"nan", b"[" * 10**6, b"[1,]",
    b"[" * 10**6 + b"]" * 10**6, b'{"a":' * 10**5, b"[{}]", b'{"error": "no"}', b"\xef\xbb\xbf[]",
    b"\xff\xfe[\0]\0", b"\0\0\0[\0\0\0]", b"\xff", b"[\xff]", b"<html>", b"[]\0", b"[] []",
    b" " * 100_000 + b"[]", b"[" + b"0," * 100_000 + b"0]",
]  # fmt: skip
ENCODINGS = ["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1"]
STATUSES = [200] * 12 + [204, 206, 301, 400, 404, 429, 500, 503, 599]
KINDS = ["application/json"] * 8 + [
    "application/json; charset=latin-1", "application/problem+json", "text/json; charset=x",
    "text/html", "", ";", "application/json;charset=", "\xff/json",
]  # fmt: skip
CODINGS = {"gzip": gzip.compress, "cut": lambda body: gzip.compress(body)[:-9],
           "deflate": zlib.compress}  # fmt: skip

number, text = st.sampled_from(NUMBERS), st.sampled_from(TEXTS)
odd_text = st.one_of(text, strategies.captions(surrogates=True).map(json.dumps))
good_id, good_score = st.integers(0, 19).map(str), st.floats(-1, 1).map(repr)
hit = st.builds(
    lambda fields: "{" + ", ".join(f'"{k}": {v}' for k, v in fields) + "}",
    st.one_of(
        st.tuples(st.tuples(st.just("id"), good_id), st.tuples(st.just("similarity"), good_score)),
        st.lists(
            st.tuples(st.sampled_from(["id", "similarity", "id2", "image", ""]), number | odd_text),
            max_size=4,
        ),
    ),
)
row = st.builds(
    lambda row, fields: f'{{"id": {row}, "metadata": {{{", ".join(fields)}}}}}',
    st.sampled_from(["3", "7"]) | number,
    st.lists(
        st.builds('"{}": {}'.format, st.sampled_from(["url", "URL", "TEXT", "caption"]), odd_text),
        max_size=4,
    ),
)
exact_rows = st.tuples(odd_text, odd_text).map(
    lambda texts: (
        f'[{{"id": 7, "metadata": {{"url": "u", "caption": {texts[0]}}}}}, '
        f'{{"id": 3, "metadata": {{"url": null, "TEXT": {texts[1]}}}}}]'
    )
)


def bodies(entry: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    listed = st.lists(entry, max_size=K + 2).map(lambda rows: f"[{', '.join(rows)}]")
    encoding = st.sampled_from(
        ["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1"]
    )
    encoded = st.builds(lambda body, how: body.encode(how, "replace"), listed, encoding)
    return encoded | st.builds(mutated, encoded, st.randoms(use_true_random=False))


def mutated(body: bytes, draw: Any) -> bytes:
    """The body, cut, with a byte changed, or with something after it."""
    kind = draw.randrange(3)
    place = draw.randrange(len(body) + 1)
    if kind == 0:
        return body[:place]
    if kind == 1:
        return body[:place] + bytes([draw.randrange(256)]) + body[place + 1 :]
    return body + bytes(draw.randrange(256) for _ in range(3))


@st.composite
def replies(draw: st.DrawFn, path: str) -> tuple[str, Reply]:
    """A path, and what the service answers there."""
    body = draw(
        st.one_of(
            bodies(hit) if path == "/knn-service" else bodies(row) | exact_rows.map(str.encode),
            st.sampled_from(WHOLE),
            st.binary(max_size=30),
        )
    )
    status, kind = draw(st.sampled_from(STATUSES)), draw(st.sampled_from(KINDS))
    coding = draw(st.sampled_from([""] * 6 + [*CODINGS, "br", "zstd", "identity", "x"]))
    headers = {"Retry-After": draw(st.sampled_from(["0", "-1", "1e9", "soon", "\xb2"]))}
    if coding:
        headers["Content-Encoding"] = "gzip" if coding == "cut" else coding
        body = CODINGS.get(coding, bytes)(body)
    if draw(st.integers(0, 9)) == 0:
        headers["Content-Length"] = str(len(body) + draw(st.sampled_from([-1, 1, 10**9])))
    return path, (status, kind, body, headers)


def asked(server: Server, work: Path) -> KnnService:
    values = {
        "url": server.url,
        "index": "small",
        "retries": 0,
        "max_bytes": 5_000_000,
        "timeout": 5.0,
    }
    return KnnService(KnnService.Config.model_validate(values), Context(work_dir=work))


def try_one(server: Server, path: str, reply: Reply) -> bool:
    """Give one answer; return whether it was believed."""
    server.spoil = lambda where, body, count: reply if where == path else None
    with TemporaryDirectory() as name:
        work = Path(name)
        try:
            found = ask(asked(server, work), path)
        except LaionEOError as error:
            assert "\n" not in str(error)
            assert one_line(str(error)) == str(error)
            assert len(str(error)) < 1000
            assert not list(work.rglob("*.json")), "a bad answer was kept"
            believed = False
        else:
            check_believed(path, reply[2], found)
            server.spoil = lambda where, body, count: pytest.fail("asked again")
            np.testing.assert_equal(ask(asked(server, work), path), found)
            believed = True
        # Whatever it was: once the service is mended, the same command succeeds.
        server.spoil = lambda where, body, count: None
        if not believed:
            ask(asked(server, work), path)
    return believed


def ask(service: KnnService, path: str) -> Any:
    if path == "/knn-service":
        found = service.search(QUERY, K)
        return found.ids.tolist(), found.scores.tolist()
    table = service.lookup(IDS)
    return clean_urls(table["url"])[0].to_pylist(), clean_texts(table["caption"])[0].to_pylist()


def check_believed(path: str, body: bytes, found: Any) -> None:
    """What was believed is what the answer says to whoever reads it plainly."""
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            body = unpack(body)
        except (OSError, zlib.error, EOFError):
            continue
    said = json.loads(body.decode(json.detect_encoding(body), "replace"))
    assert isinstance(said, list)
    if path == "/metadata":
        assert sorted(entry["id"] for entry in said) == IDS.tolist()
        urls, captions = found
        assert len(urls) == len(captions) == 2
        plain = {entry["id"]: entry["metadata"] for entry in said}
        for row, caption in zip(IDS.tolist(), captions, strict=True):
            if set(plain[row]) == {"url", "caption"} and str(plain[row]["caption"]).isascii():
                value = plain[row]["caption"]
                if isinstance(value, str) and value.isprintable() and len(value) < 1000:
                    assert caption == value
        return
    hits = sorted((-np.float32(entry["similarity"]), entry["id"]) for entry in said)
    ids, scores = found
    assert ids[0] == [row for _, row in hits] + [-1] * (K - len(hits))
    assert scores[0][: len(hits)] == [-float(score) for score, _ in hits]
    assert len(set(ids[0][: len(hits)])) == len(hits)
    assert all(abs(score) <= 1.02 for score in scores[0][: len(hits)])


def fuzz(examples: int) -> dict[bool, int]:
    counts = {True: 0, False: 0}
    with serve_knn(POOL) as server:

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(["/knn-service", "/metadata"]).flatmap(replies))
        def each(answer: tuple[str, Reply]) -> None:
            counts[try_one(server, *answer)] += 1

        each()
    return counts


def test_answers() -> None:
    counts = fuzz(30)
    assert counts[False] > 5


@pytest.mark.slow
def test_200_answers() -> None:
    counts = fuzz(200)
    assert min(counts.values()) > 10, counts
