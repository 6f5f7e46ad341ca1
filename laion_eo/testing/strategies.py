"""Strategies of hypothesis: the odd values that a pool of the web hands to a component.

Suites check the usual; a property test of your own draws from these and says what must hold for
anything that a run may bring. For example::

    from hypothesis import given
    from laion_eo.testing import strategies

    @given(strategies.captions(), strategies.captions())
    def test_tagging_is_by_text_alone(one, other):
        together = tagger.tag([one, other])
        assert together.codes == [*tagger.tag([one]).codes, *tagger.tag([other]).codes]

Nothing here is real: hosts have names that are reserved for examples, and every picture is noise.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from laion_eo.component import ComponentConfig, Context
from laion_eo.kinds import ScoreBatch
from laion_eo.schema import CANDIDATES, DOWNLOADS, LANGUAGES, SCORES_FIXED
from laion_eo.testing.colours import Colours
from laion_eo.types import Embeddings, Picture

LONG = 10_000
"""Characters of the longest captions."""
SIMILARITIES: pa.Schema = pa.schema(
    [("image_similarity", pa.float32()), ("text_similarity", pa.float32())]
)
"""The columns of the paper's scorers."""

_CAPTIONS = (
    "", " ", "\t\n ", "0", "12345", "-", "NA", "nan", "null", "None", '"', "'", "\\", ",", "a,b",
    '"quoted", twice', "two\nlines", "crlf\r\nend", "line\u2028separator", "\ufeffmark", "a\0b",
    "\0", "\u202egnp.exe", "\u2066left\u2069", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d",
    "卫星图像", "衛星写真", "Снимок", "Türkiye", "e\u0301", "Z\u0351\u036b\u0343a\u0327lgo",
    "🛰", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "🇩🇪🇯🇵", "\u200d", "\ufffd", "\U0010ffff",
    "<b>bold</b>", "<!-- config ver-0 -->", "---", "| a | b |", "```", "[a](javascript:alert(1))",
    "{{ 7 * 7 }}", "${HOME}", "%s%n", "=1+1", "'; DROP TABLE pairs; --",
    "jane.doe@example.org +1 202 555 0147", "https://example.org/a?b=c",
)  # fmt: skip
_NAMES = ("example.org", "EXAMPLE.COM", "a-b.example", "x.y.z.example.net", "bücher.example",
          "xn--bcher-kva.example", "example.org.", "images.invalid")  # fmt: skip
_NO_URLS = (
    "", " ", "http", "http:", "http://", "http:///a.jpg", "//example.org/a.jpg", "example.org/",
    "/a.jpg", "../a.jpg", "C:\\a.jpg", "http://[/a.jpg", "http://[]@/", "http://[::1/a.jpg",
    "http://example.org:99999/a.jpg", "http://example.org:port/a.jpg", "http://?a", "http://#a",
)  # fmt: skip
_OTHER_SCHEMES = (
    "file:///etc/passwd", "ftp://example.org/a.jpg", "data:image/png;base64,iVBORw0KGgo=",
    "javascript:alert(1)", "gopher://example.org:70/_", "about:blank", "blob:http://example.org/a",
    "view-source:http://example.org/", "mailto:a@example.org", "s3://bucket/a.jpg", "hf://datasets/a",
)  # fmt: skip
_PRIVATE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
            "0.0.0.0/8", "100.64.0.0/10", "224.0.0.0/4", "168.63.129.16/32")  # fmt: skip
_DOWNLOADED: pa.Schema = pa.unify_schemas(
    [
        CANDIDATES,
        pa.schema([f.with_name("status_reason") if f.name == "reason" else f for f in DOWNLOADS]),
    ]
)
"""Candidates beside their downloads, as the stages have them."""
# Of the eight contents that rows have: few, so that two rows often share one.
_SIZES = (
    (1, 1), (1, 5000), (255, 256), (256, 256), (300, 400), (4096, 17), (1024, 768), (257, 255),
)  # fmt: skip
_FORMATS = (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"))
_MOMENT = datetime(2024, 5, 1, tzinfo=UTC)


def captions(*, surrogates: bool = False) -> SearchStrategy[str]:
    """Texts that stand beside images: empty ones, markup, bidi, emoji, NUL, 10,000 characters.

    Args:
        surrogates: Lone surrogates too, which JSON's escapes can hold and Arrow's strings cannot.
    """
    letters = st.characters(codec=None if surrogates else "utf-8")
    long = st.builds(lambda text: (text * LONG)[:LONG], st.text(letters, min_size=1, max_size=8))
    odd = st.sampled_from((*_CAPTIONS, "\ud800", "a\udfffb") if surrogates else _CAPTIONS)
    return st.one_of(odd, st.text(letters, max_size=40), long)


def ids() -> SearchStrategy[int]:
    """Row indices of a pool: int64, 0 and above, those that a float64 cannot hold among them."""
    edges = (0, 1, 2**31 - 1, 2**31, 5_850_000_000, 2**53 + 1, 2**63 - 1)
    return st.one_of(st.sampled_from(edges), st.integers(0, 2**63 - 1))


def urls() -> SearchStrategy[str]:
    """Odd but valid http and https URLs, on hosts that are reserved for examples."""
    scheme = st.sampled_from(("http", "https", "HTTP", "hTTps"))
    user = st.sampled_from(("", "", "", "jane@", "jane:pass%40word@"))
    port = st.sampled_from(("", "", ":80", ":8443", ":65535", ":"))
    part = st.one_of(
        st.sampled_from(
            ("a.jpg", "A.JPG", "..", ".", "", "%2e%2e", "%00.png", "a+b", "a;v=1", "~")
        ),
        st.text(st.characters(codec="utf-8"), max_size=6).map(lambda t: quote(t, "")),
        st.sampled_from(("🛰.jpg", "卫星.png", "a" * 300)),
    )
    path = st.lists(part, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))
    query = st.sampled_from(
        ("", "", "?", "?x=1,2&y=%20", "?url=http://example.org/a.jpg", "?a[]=1")
    )
    end = st.sampled_from(("", "", "#", "#top", "#!/a?b"))
    parts = st.tuples(scheme, st.just("://"), user, st.sampled_from(_NAMES), port, path, query, end)
    return parts.map("".join)


def hostile_urls() -> SearchStrategy[str]:
    """What a pool has where a URL should be, and no downloader may fetch.

    What is no URL, other schemes, and private, loopback, link-local and metadata addresses in all
    the spellings that libraries take.
    """
    address = st.sampled_from(_PRIVATE).flatmap(lambda block: st.ip_addresses(v=4, network=block))
    spelled = st.builds(lambda spell, a: spell(a), st.sampled_from(_SPELLINGS), address)
    inside = st.one_of(spelled, st.sampled_from(("[::1]", "[::]", "[fe80::1]", "[fd00::1]")))
    url = st.builds(
        lambda scheme, host, path: f"{scheme}://{host}{path}",
        st.sampled_from(("http", "https")),
        inside,
        st.sampled_from(("/", "", "/a.jpg", ":8080/a.jpg", "/latest/meta-data/")),
    )
    return st.one_of(url, st.sampled_from(_NO_URLS), st.sampled_from(_OTHER_SCHEMES))


def _octal(address: ipaddress.IPv4Address) -> str:
    return ".".join(f"{byte:#05o}".replace("o", "") for byte in address.packed)


_SPELLINGS = (
    str,
    lambda address: str(int(address)),  # one number
    lambda address: f"{int(address):#x}",
    _octal,
    lambda address: f"{address.packed[0]}.{int(address) & 0xFFFFFF}",  # two parts
    lambda address: f"[::ffff:{address}]",
    lambda address: f"[64:ff9b::{address}]",
    lambda address: f"[2002:{address.packed[:2].hex()}:{address.packed[2:].hex()}::1]",
)


def pictures(max_side: int = 40) -> SearchStrategy[Picture]:
    """Pictures as scorers and augmenters get them: uint8 RGB, (height, width, 3), read-only.

    A single pixel, lines one pixel wide, prime sides; black, white, one colour, a ramp, noise.

    Args:
        max_side: The longest side, in pixels.
    """
    side = st.one_of(st.just(1), st.integers(1, max_side))
    fill = st.sampled_from(("black", "white", "colour", "ramp", "noise"))
    return st.builds(_picture, side, side, fill, st.integers(0, 2**16))


def _picture(height: int, width: int, fill: str, seed: int) -> Picture:
    draw = np.random.default_rng(seed)
    shape = (height, width, 3)
    if fill == "noise":
        made = draw.integers(0, 256, shape, dtype=np.uint8)
    elif fill == "ramp":
        line = np.linspace(0, 255, height * width).astype(np.uint8)
        made = np.broadcast_to(line.reshape(height, width, 1), shape).copy()
    else:
        plain = {"black": 0, "white": 255, "colour": draw.integers(0, 256, 3)}[fill]
        made = np.full(shape, plain, np.uint8)
    # As a decoded image is: who writes to it would change it for the scorers that come after.
    made.flags.writeable = False
    return made


def embeddings(
    rows: int | SearchStrategy[int] | None = None, dim: int = 16
) -> SearchStrategy[Embeddings]:
    """Embeddings: float32, (rows, dim), each row of length 1; some equal, opposite or on an axis.

    Args:
        rows: How many, or a strategy of it; 0 to 8 by default.
        dim: Their dimension.
    """
    if rows is None or isinstance(rows, int):
        rows = st.integers(0, 8) if rows is None else st.just(rows)
    row = st.tuples(st.sampled_from(("random", "axis", "equal", "opposite")), st.integers(0, 2**16))
    listed = rows.flatmap(lambda count: st.lists(row, min_size=count, max_size=count))
    return listed.map(lambda found: _embeddings(found, dim))


def _embeddings(rows: list[tuple[str, int]], dim: int) -> Embeddings:
    made = np.zeros((len(rows), dim), np.float32)
    for place, (kind, seed) in enumerate(rows):
        if kind == "axis":
            made[place, seed % dim] = 1.0
        elif kind != "random" and place:
            made[place] = made[place - 1] if kind == "equal" else -made[place - 1]
        else:
            vector = np.random.default_rng(seed).standard_normal(dim)
            made[place] = vector / np.linalg.norm(vector)
    return made


def candidate_tables(max_rows: int = 6) -> SearchStrategy[pa.Table]:
    """The table that a scorer gets: candidates whose image was downloaded, with their downloads.

    Ids are distinct; URLs and contents may come twice, captions be null.

    Args:
        max_rows: The most rows; a table of none is drawn, too.
    """
    return _rows(max_rows, {}).map(lambda rows: pa.Table.from_pylist(rows, schema=_DOWNLOADED))


def scored_tables(
    scores: pa.Schema = SIMILARITIES, max_rows: int = 6, *, nulls: bool = False
) -> SearchStrategy[pa.Table]:
    """The table that a filter gets: :func:`candidate_tables`, with scores and languages.

    Args:
        scores: The scorers' columns that the filter needs: numbers, strings, booleans, or lists
            of them. Floats are finite; a column that ends in ``similarity`` is in -1..1.
        max_rows: The most rows; a table of none is drawn, too.
        nulls: Null scores too: what a scorer could not compute.
    """
    cells = {field.name: _cells(field) for field in scores}
    if nulls:
        cells = {name: st.none() | values for name, values in cells.items()}
    schema = pa.unify_schemas([_DOWNLOADED, SCORES_FIXED, scores, LANGUAGES])
    return _rows(max_rows, cells).map(lambda rows: pa.Table.from_pylist(rows, schema=schema))


@st.composite
def score_batches(draw: st.DrawFn, max_rows: int = 4, max_side: int = 24) -> ScoreBatch:
    """What a scorer gets: :func:`candidate_tables` with pictures and anchors, and ``colours``.

    Args:
        draw: Given by hypothesis.
        max_rows: The most rows; a batch has at least one.
        max_side: The longest side of a picture, in pixels.
    """
    table = draw(candidate_tables(max_rows).filter(len))
    found = draw(st.lists(pictures(max_side), min_size=len(_SIZES), max_size=len(_SIZES)))
    images = [found[int(digest, 16)] for digest in table["sha256"].to_pylist()]
    for side, name in enumerate(("height", "width")):
        place = table.schema.get_field_index(name)
        sizes = pa.array([image.shape[side] for image in images], pa.int32())
        table = table.set_column(place, name, sizes)
    embedder = Colours(ComponentConfig(), Context())
    found_by = draw(embeddings(len(images), embedder.dim))
    seen = embedder.embed_images(images)
    return ScoreBatch(table, seen, found_by, embedder, pictures=images)


def _rows(
    max_rows: int, scores: Mapping[str, SearchStrategy[Any]]
) -> SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries(
        {
            "id": ids(),
            "source": st.integers(0, 9),
            "view": st.integers(0, 2),
            "fast_similarity": st.floats(-1, 1, width=32),
            "found_by": st.integers(1, 9),
            "url": urls(),
            "caption": st.none() | captions(),
            "content": st.integers(0, len(_SIZES) - 1),
            "language": st.sampled_from(((None, 0.0), ("en", 1.0), ("de", 0.25), ("zh", 0.5))),
            **scores,
        }
    )
    listed = st.lists(row, max_size=max_rows, unique_by=lambda row: row["id"])
    return listed.map(lambda rows: [_completed(row) for row in rows])


def _completed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with what follows from its picture: status, hashes, file name, size."""
    content = row["content"]
    (height, width), (kind, extension) = _SIZES[content], _FORMATS[content % len(_FORMATS)]
    language, confidence = row["language"]
    return {
        **row,
        "status": "animated" if kind == "GIF" else "ok",
        "status_reason": "",
        "http_code": 200,
        "filename": f"{content:064x}.{extension}",
        "bytes": height * width,
        "sha256": f"{content:064x}",
        "md5": f"{content:032x}",
        "width": width,
        "height": height,
        "format": kind,
        "final_url": row["url"],
        "fetched_at": _MOMENT,
        "image_error": None,
        "lang": language,
        "lang_score": confidence,
    }


def _cells(field: pa.Field) -> SearchStrategy[Any]:
    """Return the values of a scorer's column.

    Raises:
        ValueError: It is of a type that has no strategy here.
    """
    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _cells(pa.field(field.name, kind.value_type))
        sizes = (0, 8) if pa.types.is_list(kind) else (kind.list_size, kind.list_size)
        return st.lists(inner, min_size=sizes[0], max_size=sizes[1])
    if pa.types.is_floating(kind):
        most = 1.0 if field.name.endswith("similarity") else None
        least = None if most is None else -most
        width = kind.bit_width
        return st.floats(least, most, allow_nan=False, allow_infinity=False, width=width)
    if pa.types.is_integer(kind):
        bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
        return (
            st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            if signed
            else st.integers(0, 2**bits - 1)
        )
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return captions()
    raise ValueError(f"no strategy for the column {field.name!r} of {kind}")
