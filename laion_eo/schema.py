"""The columns of the dataset and of the run's tables: the only place that defines them.

The builder, the dataset card, the docs and the tests all derive from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from laion_eo.types import DownloadStatus


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, Arrow type, unit (empty if it has none) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


# Similarities are float64 because the published CSV has that precision: a float32 column would
# change published values.
PUBLISHED_COLUMNS: tuple[Column, ...] = (
    Column("source", pa.int64(), "index", "the anchor sample that found the image"),
    Column("url", pa.string(), "", "where the image is on the web"),
    Column("filename", pa.string(), "", "name of the image file: its SHA-256 and extension"),
    Column(
        "id", pa.int64(), "index", "row of the image in the pool (LAION-5B id for ver-0, ver-1)"
    ),
    Column(
        "fast_similarity", pa.float64(), "cosine, -1..1", "the search's similarity to the anchor"
    ),
    Column("caption", pa.string(), "", "the text that stood beside the image"),
    Column(
        "image_similarity", pa.float64(), "cosine, -1..1", "recomputed similarity to the anchor"
    ),
    Column("text_similarity", pa.float64(), "cosine, -1..1", "similarity to the prompt"),
    Column("height", pa.int32(), "pixel", "height of the image"),
    Column("width", pa.int32(), "pixel", "width of the image"),
    Column("lang", pa.string(), "ISO 639-1", "language of the caption"),
    Column("lang_score", pa.float64(), "0..1", "confidence of the language tag"),
)
PUBLISHED: pa.Schema = pa.schema([(column.name, column.type) for column in PUBLISHED_COLUMNS])


# The embedding is a list of variable length, because pyarrow 15 writes no null among lists of fixed
# length to Parquet, and a skipped anchor has no embedding.
ANCHORS: pa.Schema = pa.schema(
    [
        ("source", pa.int64()),
        ("anchor_id", pa.string()),
        ("view", pa.int32()),
        ("gsd", pa.float64()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("acquired", pa.timestamp("us", tz="UTC")),
        ("skipped", pa.string()),
        ("text", pa.string()),
        ("sha256", pa.string()),
        ("embedding", pa.list_(pa.float32())),
    ]
)
"""The ``anchors`` stage, one row per query vector (an augmented anchor has several).

``sha256`` is of what was embedded: the picture, as the model saw it, or the text, which ``text``
has.
"""

NEIGHBORS: pa.Schema = pa.schema(
    [
        ("source", pa.int64()),
        ("view", pa.int32()),
        ("rank", pa.int32()),
        ("id", pa.int64()),
        ("fast_similarity", pa.float32()),
    ]
)

CANDIDATES: pa.Schema = pa.schema(
    [
        ("id", pa.int64()),
        ("source", pa.int64()),
        ("view", pa.int32()),
        ("fast_similarity", pa.float32()),
        ("found_by", pa.int32()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("pool_sha256", pa.string()),
    ]
)
"""The ``candidates`` stage, one row per distinct image.

``pool_sha256`` is of the image that the pool's vector was made from, where the pool says it.
"""

DOWNLOAD_STATUSES: dict[str, str] = {status.value: status.meaning for status in DownloadStatus}
"""The values of the column ``status`` of :data:`DOWNLOADS`, and what each means."""

DOWNLOADS: pa.Schema = pa.schema(
    [
        ("url", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("http_code", pa.int32()),
        ("filename", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("md5", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("final_url", pa.string()),
        ("fetched_at", pa.timestamp("us", tz="UTC")),
    ]
)

EMBEDDINGS: pa.Schema = pa.schema(
    [
        ("model", pa.string()),
        ("sha256", pa.string()),
        ("image_error", pa.string()),
        ("origin", pa.string()),
        ("vector", pa.binary()),
    ]
)
"""The ``embeddings`` stage, one row per distinct image and model.

``model`` is the fingerprint of an embedder and its options; ``origin`` says whether the vector was
``embedded`` here, or is that of an earlier or another ``run`` or of the pool's ``index``; the
``vector`` is little-endian, of the run's ``embeddings.dtype``.
"""

SCORES_FIXED: pa.Schema = pa.schema([("id", pa.int64()), ("image_error", pa.string())])
"""The columns of every scores table; the scorers' columns follow."""

FITTED_FIXED: pa.Schema = pa.schema([("id", pa.int64())])
"""The column of every table of fitted scores; those of the fitted scorers follow."""

ANCHOR_SCORES_FIXED: pa.Schema = pa.schema([("source", pa.int64()), ("view", pa.int32())])
"""The columns of every table of anchors' scores; those of scorers that score anchors follow."""

LANGUAGES: pa.Schema = pa.schema(
    [("id", pa.int64()), ("lang", pa.string()), ("lang_score", pa.float32())]
)

VERDICTS: pa.Schema = pa.schema(
    [("id", pa.int64()), ("kept", pa.bool_()), ("filter", pa.string()), ("reason", pa.string())]
)

STATUS_REASON = "status_reason"
"""What the ``reason`` of a download is called beside its candidate: verdicts have a reason too."""

DOWNLOADED: pa.Schema = pa.schema(
    [
        *CANDIDATES,
        *(
            field.with_name(STATUS_REASON) if field.name == "reason" else field
            for field in DOWNLOADS
            if field.name != "url"
        ),
    ]
)
"""The rows that scorers see: the candidates beside their downloads."""

SCORED: pa.Schema = pa.schema(
    [*DOWNLOADED, *(field for field in (*SCORES_FIXED, *LANGUAGES) if field.name != "id")]
)
"""The rows that filters see, in every run; the columns of its scorers are there too."""

TAKEN: frozenset[str] = frozenset(SCORED.names) | frozenset(VERDICTS.names)
"""What no scorer's column may be called."""

LINKS: pa.Schema = pa.schema(
    [
        ("url", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("http_code", pa.int32()),
        ("changed", pa.bool_()),
        ("final_url", pa.string()),
        ("checked_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""The result of checking a dataset's links; ``changed``: whether a link now shows another image."""
