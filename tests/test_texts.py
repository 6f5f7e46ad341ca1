from __future__ import annotations

import csv
import random
from pathlib import Path

import pyarrow as pa
import pytest
from captions import CAPTIONS, NOTHING
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.builtin.downloaders.http.addresses import parse_url
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.testing import strategies
from laion_eo.texts import (
    INVALID_URL,
    LONGEST,
    LONGEST_URL,
    as_texts,
    clean,
    clean_texts,
    clean_url,
    clean_urls,
    one_line,
    parse_json,
    raw_texts,
    text_of,
)
from laion_eo.types import DownloadStatus

ORDINARY = [
    *(text for _, text in CAPTIONS), *NOTHING, "tab\tline\nand\r\nmore", "e\u0301 Z\u0351\u036b",
    "👨\u200d👩\u200d👧 🇩🇪 🏴\U000e0067\U000e0062\U000e007f", "שלום \u200fעולם\u200e",
    "سلام\u200cعلیکم",
    "\u202bעברית\u202c", "\u2067a \u202dinner\u202c b\u2069", "\ufeffmark", "\ufffd",
    "\u2028", "\ue000",
    "\u00a0", "\u00ad", "\u0378", "\U0002a6d6",
]  # fmt: skip
REPAIRED: list[tuple[str | bytes, str]] = [
    (b"caf\xe9", "caf\ufffd"), (b"\xc3\x28", "\ufffd("), (b"\xf0\x9f\x9b", "\ufffd"),
    (b"\xed\xa0\x80b", "\ufffdb"), (b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
    (b"\xc0\x80", "\ufffd\ufffd"),
    ("\ud800", "\ufffd"), ("a\udc41b", "a\ufffdb"), ("\ud83d\ude00", "😀"),
    ("\ude00\ud83d", "\ufffd\ufffd"),
    ("a\0b", "a\ufffdb"), ("\x1b[2J", "\ufffd[2J"), ("\x7f\x85\x9b", "\ufffd\ufffd\ufffd"),
    ("\x0b\x0c\x07", "\ufffd\ufffd\ufffd"), ("\ufdd0\uffff\U0010ffff", "\ufffd\ufffd\ufffd"),
    ("\u202egnp.exe", "\ufffdgnp.exe"), ("a\u202c", "a\ufffd"),
    ("\u2066\u202ea\u2069", "\ufffd\ufffda\ufffd"),
    ("\u202a\u202ba\u202c", "\ufffd\u202ba\u202c"),
]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_what_a_person_meant_is_unchanged(text: str) -> None:
    assert clean(text) == clean(text.encode()) == (text, False)


@pytest.mark.parametrize(("text", "wanted"), REPAIRED)
def test_what_no_table_can_hold_is_replaced(text: str | bytes, wanted: str) -> None:
    assert clean(text) == (wanted, True)
    assert clean(wanted) == (wanted, False)


def test_real_captions_are_unchanged(shared: Path) -> None:
    for file in sorted(shared.glob("*/*.csv")):
        with file.open(newline="", encoding="utf-8") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        column = pa.chunked_array([pa.array(cells, pa.string())])
        found, repaired = clean_texts(column)
        assert (found, repaired) == (column, 0)
        assert found is not None and found.to_pylist() == cells


@pytest.mark.parametrize("letter", ["a", "é", "🛰"])
def test_a_caption_without_end_is_truncated(letter: str) -> None:
    whole = letter * LONGEST
    assert clean(whole) == clean(whole.encode()) == (whole, False)
    for longer in (whole + "b", whole * 9):
        cut = (whole[: LONGEST - 1] + "…", True)
        assert clean(longer) == clean(longer.encode()) == cut
    assert clean(cut[0]) == (cut[0], False)


@given(st.one_of(strategies.captions(surrogates=True), st.binary(max_size=60)))
def test_cleaned_text_fits_everywhere_and_stays(text: str | bytes) -> None:
    found, changed = clean(text)
    assert found is not None
    assert clean(found.encode()) == (found, False)
    assert changed == (found != text if isinstance(text, str) else found.encode() != text)
    assert not [c for c in found if ord(c) < 32 and c not in "\t\n\r"]
    assert clean_texts(pa.chunked_array([raw_texts([text])]))[0].to_pylist() == [found]


@given(strategies.urls())
def test_urls_are_unchanged(url: str) -> None:
    assert clean_url(url) == clean_url(url.encode()) == (url, False)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://a/b.jpg\n", "http://a/b.jpg"),
        (b" \0http://a/b.jpg\r\n", "http://a/b.jpg"),
        ("http://a/\tb.jpg", f"{INVALID_URL}http://a/%09b.jpg"),
        ("http://a\n.b/", f"{INVALID_URL}http://a%0A.b/"),
        (b"http://a/caf\xe9?x=1&y=%20", f"{INVALID_URL}http://a/caf%E9?x=1&y=%20"),
        ("http://a/\udce9", f"{INVALID_URL}http://a/%E9"),
        ("http://a/\ud800", f"{INVALID_URL}http://a/%ED%A0%80"),
        ("http://a/\x9b", f"{INVALID_URL}http://a/%C2%9B"),
        ("http://a/\u202egpj.b", f"{INVALID_URL}http://a/%E2%80%AEgpj.b"),
        ("http://a/\ufffe", f"{INVALID_URL}http://a/%EF%BF%BE"),
        ("http://" + "a" * LONGEST_URL, f"{INVALID_URL}http://" + "a" * 993),
    ],
)
def test_a_url_does_not_become_another_one(url: str | bytes, wanted: str) -> None:
    assert clean_url(url) == (wanted, True)
    assert clean_url(wanted) == (wanted, False)
    column = pa.chunked_array([raw_texts(["http://a/", url, None])])
    assert clean_urls(column)[0].to_pylist() == ["http://a/", wanted, None]
    if wanted.startswith(INVALID_URL):
        with pytest.raises(RefusedError) as refused:
            parse_url(wanted)
        assert refused.value.status == DownloadStatus.BAD_URL


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_columns_are_cleaned_in_place_and_counted(kind: pa.DataType) -> None:
    draw = random.Random(0)
    odd: list[str | bytes] = [text for text, _ in REPAIRED]
    texts: list[str | bytes | None] = [*ORDINARY, None, *odd]
    draw.shuffle(texts)
    for parts in (1, 2, 5):
        arrays = [raw_texts(texts[n::parts]).cast(pa.large_binary()) for n in range(parts)]
        raw = pa.chunked_array([as_texts(array) for array in arrays])
        raw = raw if kind == pa.large_string() else pa.chunked_array([_small(a) for a in arrays])
        found, repaired = clean_texts(raw)
        assert found.type == kind
        wanted = [clean(text)[0] for n in range(parts) for text in texts[n::parts]]
        assert found.to_pylist() == wanted
        assert repaired == len(REPAIRED)


def _small(array: pa.Array) -> pa.Array:
    """As ``string``, whose offsets have 32 bits, with bytes that are no UTF-8."""
    binary = array.cast(pa.binary())
    return pa.Array.from_buffers(pa.string(), len(binary), binary.buffers())


def test_columns_of_other_types() -> None:
    assert as_texts(pa.array([1, None])).to_pylist() == ["1", None]
    words = pa.chunked_array([pa.array(["a", "b", "a"])]).dictionary_encode()
    assert as_texts(words).to_pylist() == ["a", "b", "a"]
    assert as_texts(pa.nulls(2)).to_pylist() == [None, None]
    with pytest.raises(pa.ArrowException):
        as_texts(pa.array([["a"]]))
    nothing = pa.chunked_array([], pa.string())
    assert clean_texts(nothing) == (nothing, 0)


def test_values_of_json_as_texts() -> None:
    values = ["a", "", 7, 0.5, True, None, float("nan"), float("inf"), [1], {"a": 1}]
    assert [text_of(value) for value in values] == [
        "a", "", "7", "0.5", "True", None, None, None, None, None,
    ]  # fmt: skip


class _MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not today")


def test_one_line_for_a_terminal() -> None:
    assert (
        one_line(ValueError("a\n  b\x1b[2J\x9b \ud800\u202e")) == "a b\ufffd[2J\ufffd \ufffd\ufffd"
    )
    assert one_line(_MuteError()) == "(_MuteError, whose text cannot be had: RuntimeError)"
    assert len(one_line("x" * 10**6)) == 4000


def test_json_that_says_one_thing() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"):
        assert parse_json('{"a": "é🛰"}'.encode(encoding)) == {"a": "é🛰"}
    assert parse_json(b'["caf\xe9", "\\ud800"]') == ["caf\udce9", "\ud800"]
    deep = b"[" * 1_000_000 + b"]" * 1_000_000
    wrong = [b"", b"{", b'{"a": 1, "a": 2}', deep, b"1" * 10_000, b"[1]x", b"\xff\xfe[", b"\0"]
    for content in wrong:
        with pytest.raises(ValueError):
            parse_json(content)
