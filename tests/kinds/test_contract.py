from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.augmenters import NoAugmenter
from laion_eo.component import ComponentConfig, Context
from laion_eo.digests import HashedBytes
from laion_eo.errors import RunError
from laion_eo.kinds import PoolModel
from laion_eo.kinds.blaming import each
from laion_eo.kinds.contract import (
    check_anchor,
    check_columns,
    check_count,
    check_counts,
    check_download,
    check_embeddings,
    check_facts,
    check_identity,
    check_lookup,
    check_model,
    check_needs,
    check_neighbors,
    check_revision,
    check_table,
    check_tags,
    check_verdict,
)
from laion_eo.types import (
    JSON,
    Anchor,
    Download,
    DownloadStatus,
    Embeddings,
    LanguageTags,
    Neighbors,
    SkippedAnchor,
    Verdict,
)

SOMEBODY = NoAugmenter(ComponentConfig(), Context())


def unit(rows: int = 2, dim: int = 4) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    values = np.ones((rows, dim), np.float32)
    return values / np.float32(np.sqrt(dim))


def test_good_embeddings_pass() -> None:
    assert check_embeddings(SOMEBODY, unit(), 2).shape == (2, 4)
    assert check_embeddings(SOMEBODY, np.zeros((0, 4), np.float32), 0).shape == (0, 4)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (unit(3), r"\(2, dim\) wanted, got \(3, 4\)"),
        (unit().astype(np.float64), "float32 embeddings wanted, got float64"),
        (unit() * 2, "length 1 wanted, got 2"),
        (unit() * np.float32("nan"), "length 1 wanted, got NaN"),
        ([1.0], "got list"),
    ],
)
def test_bad_embeddings_name_the_component(value: object, reason: str) -> None:
    with pytest.raises(RunError, match=reason) as caught:
        check_embeddings(SOMEBODY, value, 2)  # type: ignore[arg-type]
    assert str(caught.value).startswith("'none' (no plugin) broke its contract: ")


def neighbors(scores: list[float], ids: list[int]) -> Neighbors:
    return Neighbors(np.array([scores], np.float32), np.array([ids], np.int64))


def test_good_neighbors_pass() -> None:
    check_neighbors(SOMEBODY, neighbors([0.9, 0.5, -np.inf], [7, 3, -1]), 1, 3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (neighbors([0.9], [1]), r"\(1, 2\) wanted"),
        (neighbors([0.5, 0.9], [1, 2]), "do not descend"),
        (neighbors([0.9, 0.5], [-1, 2]), "must come last"),
        (neighbors([np.nan, 0.5], [1, 2]), "not finite"),
    ],
)
def test_bad_neighbors_are_refused(value: Neighbors, reason: str) -> None:
    with pytest.raises(RunError, match=reason):
        check_neighbors(SOMEBODY, value, 1, 2)


def test_no_id_comes_twice_for_one_query() -> None:
    with pytest.raises(RunError, match="the same id twice for one query"):
        check_neighbors(SOMEBODY, neighbors([0.9, 0.8, 0.7], [4, 3, 4]), 1, 3)
    both = Neighbors(np.array([[0.9], [0.8]], np.float32), np.array([[4], [4]], np.int64))
    check_neighbors(SOMEBODY, both, 2, 1)


def test_what_stands_beside_a_missing_neighbour_means_nothing() -> None:
    found = check_neighbors(SOMEBODY, neighbors([0.9, np.nan, 0.7], [4, -1, -7]), 1, 3)
    assert found.ids.tolist() == [[4, -1, -1]]
    assert found.scores[0, 1:].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(
    "value", [np.ma.masked_array(unit()), np.ma.masked_array(unit(), mask=np.ones((2, 4), bool))]
)
def test_masked_numbers_are_no_numbers(value: Embeddings) -> None:
    with pytest.raises(RunError, match="an array whose numbers are masked"):
        check_embeddings(SOMEBODY, value, 2)


def test_scores_are_finite_or_null_and_texts_utf8() -> None:
    schema = pa.schema([("x", pa.float32()), ("e", pa.list_(pa.float32())), ("t", pa.string())])
    for x, e, t, reason in (
        (None, [0.5, None], "a", ""),
        (float("nan"), [], "a", "column 'x' has numbers that are not finite"),
        (0.5, [float("inf")], "a", "column 'e' has numbers that are not finite"),
        (0.5, [], b"\xff", "Invalid UTF8"),
    ):
        binary = pa.array([t if isinstance(t, bytes) else t.encode()], pa.binary())
        text = pa.Array.from_buffers(pa.string(), 1, binary.buffers())
        columns = [pa.array([x], pa.float32()), pa.array([e], schema.field("e").type), text]
        table = pa.table(columns, schema=schema)
        if reason:
            with pytest.raises(RunError, match=reason):
                check_table(SOMEBODY, table, schema, 1)
        else:
            assert check_table(SOMEBODY, table, schema, 1) is table


def test_a_table_has_the_declared_columns_and_rows() -> None:
    schema = pa.schema([("x", pa.float32())])
    good = pa.table({"x": pa.array([1.0], pa.float32())})
    assert check_table(SOMEBODY, good, schema, 1) is good
    with pytest.raises(RunError, match="2 rows wanted, got 1"):
        check_table(SOMEBODY, good, schema, 2)
    with pytest.raises(RunError, match=r"\(x: float\) wanted, got \(x: double\)"):
        check_table(SOMEBODY, pa.table({"x": [1.0]}), schema, 1)


def test_metadata_is_strings() -> None:
    found = pa.table({"url": ["http://a/"], "caption": [7]})
    with pytest.raises(RunError, match="strings wanted in the column 'caption', got int64"):
        check_lookup(SOMEBODY, found, 1)


def test_a_download_ends_in_a_known_way() -> None:
    with pytest.raises(RunError, match="a DownloadStatus wanted, got 'fine'"):
        check_download(SOMEBODY, Download("x", "fine"), ["x"])  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"an image", HashedBytes(b"an image")])
@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_the_digests_of_a_download_are_those_of_its_bytes(content: bytes, name: str) -> None:
    """A file is named by the one, and an allow-list may be matched on the other."""
    good = HashedBytes(b"an image")
    image = Download("x", DownloadStatus.OK, content=content, sha256=good.sha256, md5=good.md5,
                     width=1, height=1, format="PNG")  # fmt: skip
    assert check_download(SOMEBODY, image, ["x"]) is image
    other = replace(image, **{name: getattr(HashedBytes(b"another"), name)})
    with pytest.raises(RunError, match=f"the {name} is not that of its bytes"):
        check_download(SOMEBODY, other, ["x"])
    if name == "md5":
        check_download(SOMEBODY, replace(image, md5=None), ["x"])


@pytest.mark.parametrize(
    ("code", "score", "reason"),
    [
        (None, 0.5, "without a language has the confidence 0.5, not 0"),
        ("", 0.5, "a language code or None wanted, got ''"),
        ("en", 1.5, "confidences of 0..1 wanted"),
        ("en", -0.5, "confidences of 0..1 wanted"),
        ("en", np.nan, "confidences of 0..1 wanted"),
    ],
)
def test_a_language_has_a_code_and_a_confidence(
    code: str | None, score: float, reason: str
) -> None:
    with pytest.raises(RunError, match=reason):
        check_tags(SOMEBODY, LanguageTags([code], np.array([score], np.float32)), 1)


def test_needs_are_names_of_columns() -> None:
    assert check_needs(SOMEBODY, ["width", "url"]) == ("width", "url")
    assert check_needs(SOMEBODY, ()) == ()
    for wrong in ("width", None, [1], {"width": 1}):
        with pytest.raises(RunError, match="a tuple of column names wanted from needs, got "):
            check_needs(SOMEBODY, wrong)


def test_columns_are_a_schema_and_facts_a_dict() -> None:
    schema = pa.schema([("x", pa.float32())])
    assert check_columns(SOMEBODY, schema) is schema
    with pytest.raises(RunError, match=r"a pyarrow.Schema wanted as columns, got list"):
        check_columns(SOMEBODY, ["x"])
    assert check_facts(SOMEBODY, {"a": 1}) == {"a": 1}
    with pytest.raises(RunError, match="a dict wanted from facts, got NoneType"):
        check_facts(SOMEBODY, None)


class Sulking:
    """Raises whenever it is looked at."""

    def _fall(self, *_: object) -> Any:
        raise ArithmeticError("not\ntoday")

    __str__ = __repr__ = __eq__ = __len__ = __iter__ = __bool__ = _fall
    __hash__ = object.__hash__


@pytest.mark.parametrize(
    "look",
    [
        lambda value: check_needs(SOMEBODY, value),
        lambda value: check_needs(SOMEBODY, (value,)),
        lambda value: check_count(SOMEBODY, value, "samples"),
        lambda value: check_counts(SOMEBODY, {"a": value}),
        lambda value: check_facts(SOMEBODY, {"a": value}),
        lambda value: check_identity(SOMEBODY, {"a": value}),
        lambda value: check_anchor(SOMEBODY, Anchor("a", text="a", lon=value)),
        lambda value: check_download(SOMEBODY, Download(value, DownloadStatus.OK), ["x"]),
        lambda value: check_tags(SOMEBODY, LanguageTags([value], np.ones(1, np.float32)), 1),
        lambda value: check_verdict(SOMEBODY, Verdict(np.zeros(1, bool), [value]), 1),
    ],
)
def test_what_raises_when_it_is_looked_at_is_put_down_to_its_maker(
    look: Callable[[Any], object],
) -> None:
    with pytest.raises(RunError) as caught:
        look(Sulking())
    assert str(caught.value).startswith("'none' (no plugin) broke its contract: ")
    assert "\n" not in str(caught.value)


def test_texts_of_plugins_fit_into_files() -> None:
    odd, shown = "a\0b\ud800", "a\ufffdb\ufffd"
    anchor = check_anchor(SOMEBODY, Anchor(odd, text=odd))
    assert isinstance(anchor, Anchor)
    assert (anchor.id, anchor.text) == (shown, shown)
    assert check_anchor(SOMEBODY, SkippedAnchor(odd, odd)) == SkippedAnchor(shown, shown)
    facts = check_facts(SOMEBODY, {"a\0": [odd, {"n": np.int8(1)}]})
    assert facts == {"a\ufffd": [shown, {"n": 1}]}
    verdict = check_verdict(SOMEBODY, Verdict(np.array([False, True]), [odd, odd]), 2)
    assert verdict.reasons == [shown, ""]
    for value in (odd, "\x1b[2J", "x" * 65):
        with pytest.raises(RunError, match="a language code or None wanted"):
            check_tags(SOMEBODY, LanguageTags([value], np.ones(1, np.float32)), 1)
    with pytest.raises(RunError, match="is no name"):
        check_revision(SOMEBODY, odd)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("reason", None, "str wanted as reason"),
        ("reason", "a\0b", "is no plain text"),
        ("final_url", "http://a/\ud800", "is no plain text"),
        ("http_code", 2**31, "is no number of 32 bits"),
        ("http_code", True, "is no number of 32 bits"),
        ("width", 0.5, "is no number of 32 bits"),
        ("md5", b"x", "the md5 is no text"),
        ("fetched_at", "now", "fetched_at is no time"),
    ],
)
def test_a_download_fits_into_its_table(field: str, value: JSON, reason: str) -> None:
    download = Download("x", DownloadStatus.TIMEOUT, "slow")
    assert check_download(SOMEBODY, download, ["x"]) is download
    with pytest.raises(RunError, match=reason):
        check_download(SOMEBODY, replace(download, **{field: value}), ["x"])


def test_counts_are_numbers() -> None:
    assert check_count(SOMEBODY, np.int64(3), "samples") == 3
    for wrong in (-1, True, 0.5, "3", None, 2**63):
        with pytest.raises(RunError, match="a number of samples wanted, got "):
            check_count(SOMEBODY, wrong, "samples")
    with pytest.raises(RunError, match="a dict of counts wanted"):
        check_counts(SOMEBODY, {1: 1})
    with pytest.raises(RunError, match="a model's name and hash as texts wanted"):
        check_model(SOMEBODY, PoolModel(model_id=7))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="an identity that is no JSON"):
        check_identity(SOMEBODY, {"a": 1, 2: 1})


def test_what_an_iterator_raises_is_put_down_to_its_component() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no\nluck")

    found = each(SOMEBODY, broken())
    assert next(found) == 1
    with pytest.raises(RunError, match=r"^'none' \(no plugin\) raised ValueError: no luck$"):
        next(found)
    with pytest.raises(RunError, match="an iterable wanted, got int"):
        next(each(SOMEBODY, 7))  # type: ignore[arg-type]


def test_a_revision_is_a_name() -> None:
    with pytest.raises(RunError, match="the revision is empty"):
        check_revision(SOMEBODY, " ")


@pytest.mark.parametrize("place", [{"lon": 180.0, "lat": -90.0}, {"lon": -180.0, "lat": 90.0}, {}])
def test_an_anchor_lies_on_the_earth(place: dict[str, JSON]) -> None:
    anchor = Anchor("a", text="a road", **place)
    assert check_anchor(SOMEBODY, anchor) == anchor


@pytest.mark.parametrize(
    "place", [{"lon": 180.5}, {"lon": -180.5}, {"lat": 90.5}, {"lat": -90.5}, {"lat": np.nan}]
)
def test_an_anchor_beyond_the_poles_is_refused(place: dict[str, JSON]) -> None:
    with pytest.raises(RunError, match="not degrees"):
        check_anchor(SOMEBODY, Anchor("a", text="a road", **place))
