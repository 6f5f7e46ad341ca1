"""The tables of a run against each other: each follows from those before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.errors import RunError
from laion_eo.images import EXTENSIONS
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.runs.records import Recorded
from laion_eo.integrity.tables import read_whole, rows_said, shortened
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages import STAGES, Publishing
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.neighbors import nearest_anchor, text_sources
from laion_eo.pipeline.stages.publishing import published_rows
from laion_eo.pipeline.stages.verdicts import DECODE, DOWNLOAD
from laion_eo.schema import DOWNLOAD_STATUSES, FITTED_FIXED, PUBLISHED, SCORES_FIXED
from laion_eo.types import DownloadStatus

Tables: TypeAlias = Mapping[str, pa.Table]
"""The tables of the stages that are complete and undamaged, by name."""
_WITH_IMAGE = [status.value for status in DownloadStatus if status.has_image]
_ALWAYS = {
    "anchors": ("source",),
    "neighbors": ("source", "view", "rank", "id", "fast_similarity"),
    "candidates": ("id", "source", "view", "fast_similarity", "found_by"),
    "downloads": ("url", "status"),
    "embeddings": ("model", "sha256"),
    "scores": ("id",),
    "fitted_scores": ("id",),
    "anchor_scores": ("source", "view"),
    "languages": ("id", "lang_score"),
    "verdicts": ("id", "kept"),
}
"""The columns of each stage by which its rows are known."""
_IMAGE_COLUMNS = ("filename", "bytes", "sha256", "width", "height", "format")
UNIT = 1e-3
"""How far the length of an embedding may be from 1."""


def check_tables(findings: Findings, tables: Tables, recorded: Recorded) -> None:
    """Compare every table with those that it was made from, and with its record's counts.

    A table that is damaged is left out, and so is what follows from it: that is a fault already.
    """
    tables = {name: table for name, table in tables.items() if _is_filled(findings, name, table)}
    for stage, needs, relation in _RELATIONS:
        if all(name in tables for name in needs):
            for fault in relation(tables):
                findings.fault(stage, fault)
    _check_counts(findings, tables, recorded)
    _check_names_of_filters(findings, tables, recorded)
    sound = all(stage.name in tables and not findings.is_faulty(stage.name) for stage in STAGES)
    if sound and Publishing.name in recorded.records:
        _check_published(findings, recorded)


def _is_filled(findings: Findings, stage: str, table: pa.Table) -> bool:
    """Tell whether a table has a value wherever rows are known by it; note a fault where not."""
    empty = [name for name in _ALWAYS[stage] if table[name].null_count]
    for name in empty:
        findings.fault(stage, f"its column {name!r} has no value ({_places_said(table[name])})")
    return not empty


def _places_said(column: pa.ChunkedArray) -> str:
    return rows_said(_places(column.is_null()))


def _anchors(tables: Tables) -> Iterator[str]:
    table = tables["anchors"]
    sources = np.unique(table["source"].to_numpy())
    if not np.array_equal(sources, np.arange(len(sources))):
        yield "its anchors are not numbered from 0 on"
    wrong = pc.equal(table["skipped"].is_valid(), table["embedding"].is_valid())
    if places := _places(wrong):
        yield f"an anchor is either skipped or has an embedding ({rows_said(places)})"
    vectors = table["embedding"].drop_null()
    lengths = pc.list_value_length(vectors)
    if len(lengths.unique()) > 1 or 0 in lengths.unique().to_pylist():
        yield "its embeddings have different lengths, or none"
    elif len(vectors):
        flat = vectors.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        norms = np.linalg.norm(flat.reshape(len(vectors), -1), axis=1)
        if not np.allclose(norms, 1.0, atol=UNIT):
            yield "its embeddings are not all of length 1"


def _neighbors(tables: Tables) -> Iterator[str]:
    table, anchors = tables["neighbors"], tables["anchors"]
    queries = anchors.filter(anchors["embedding"].is_valid())
    mine, known = _keys(table), _keys(queries)
    if len(np.setdiff1d(mine, known)):
        yield "it has hits of anchors that were not searched for"
    if places := _places(pc.less(table["id"], 0)):
        yield f"it has ids below 0 ({rows_said(places)})"
    scores = table["fast_similarity"].to_numpy()
    if not np.isfinite(scores).all():
        yield "it has similarities that are not finite"
    # The hits of one query stand together, by rank: 0, 1, 2 and so on, never more similar again.
    same = mine[1:] == mine[:-1]
    rank = table["rank"].to_numpy()
    starts = np.concatenate([[True], ~same]) if len(mine) else np.zeros(0, dtype=bool)
    if (rank[starts] != 0).any() or (np.diff(rank)[same] != 1).any():
        yield "its ranks do not count from 0 for each anchor"
    if starts.sum() != len(np.unique(mine)):
        yield "the hits of an anchor do not stand together"
    if (np.diff(scores)[same] > 0).any():
        yield "its similarities do not descend with the rank"


def _keys(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return one number for each anchor and view."""
    keys: np.ndarray[tuple[int], np.dtype[np.int64]] = (
        table["source"].to_numpy().astype(np.int64) << 32
    ) + pc.fill_null(table["view"], -1).to_numpy()
    return keys


def _candidates(tables: Tables) -> Iterator[str]:
    texts = text_sources(tables["anchors"])
    table, wanted = tables["candidates"], nearest_anchor(tables["neighbors"], texts)
    if table.num_rows != wanted.num_rows:
        yield f"it has {table.num_rows:,} images, and the neighbours have {wanted.num_rows:,}"
        return
    for name in wanted.column_names:
        if places := _differing(table[name], wanted[name]):
            yield f"its column {name!r} is not what the neighbours give ({rows_said(places)})"


def _downloads(tables: Tables) -> Iterator[str]:
    table = tables["downloads"]
    urls = pc.unique(pc.fill_null(tables["candidates"]["url"], ""))
    if table["url"].to_pylist() != urls.to_pylist():
        yield "its URLs are not those of the candidates, each once"
    if unknown := set(table["status"].unique().to_pylist()) - set(DOWNLOAD_STATUSES):
        yield f"it has a status {min(map(str, unknown))!r}, which no download has"
    has_image = pc.is_in(table["status"], value_set=pa.array(_WITH_IMAGE))
    for name in _IMAGE_COLUMNS:
        if places := _places(pc.and_(has_image, table[name].is_null())):
            yield f"its column {name!r} is empty where there is an image ({rows_said(places)})"
    if places := _places(pc.and_(pc.invert(has_image), table["filename"].is_valid())):
        yield f"it names images of downloads that had none ({rows_said(places)})"
    for name in ("bytes", "width", "height"):
        if places := _places(pc.and_(has_image, pc.less(table[name], 1))):
            yield f"its column {name!r} is not positive ({rows_said(places)})"
    wrong = [
        place
        for place, row in enumerate(table.select(["filename", "sha256", "format"]).to_pylist())
        if row["filename"] is not None and row["filename"] != _filename(row)
    ]
    if wrong:
        yield f"an image is not called by its hash and format ({rows_said(wrong)})"


def _filename(row: Mapping[str, str]) -> str:
    format_ = str(row["format"])
    return f"{row['sha256']}.{EXTENSIONS.get(format_, format_.lower())}"


def _beside_downloads(tables: Tables, name: str) -> pa.ChunkedArray:
    """Return a column of the downloads, one value for each candidate."""
    downloads = tables["downloads"]
    urls = pc.fill_null(tables["candidates"]["url"], "").combine_chunks()
    return downloads[name].take(pc.index_in(urls, downloads["url"].combine_chunks()))


def _scores(tables: Tables) -> Iterator[str]:
    table = tables["scores"]
    yield from _same_ids(table, tables["candidates"], "candidates")
    if table.num_rows != tables["candidates"].num_rows:
        return
    statuses = _beside_downloads(tables, "status").to_pylist()
    filenames = _beside_downloads(tables, "filename").to_pylist()
    errors = table["image_error"].to_pylist()
    rows = zip(statuses, filenames, errors, strict=True)
    wrong = [
        place
        for place, (status, filename, error) in enumerate(rows)
        if (filename is None) != (error == f"not downloaded ({status})")
    ]
    if wrong:
        yield f"its image_error is not what the download says ({rows_said(wrong)})"
    yield from _errors(tables)
    failed = table["image_error"].is_valid()
    for name in table.column_names[len(SCORES_FIXED) :]:
        if places := _places(pc.and_(failed, table[name].is_valid())):
            yield f"its column {name!r} has a value without an image ({rows_said(places)})"


def _errors(tables: Tables) -> Iterator[str]:
    """Compare why images have no scores with why they have no embedding."""
    vectors = tables["embeddings"]
    mine = vectors.filter(pc.equal(vectors["model"], vectors["model"][0]))
    sha256s = _beside_downloads(tables, "sha256").combine_chunks()
    wanted = mine["image_error"].take(pc.index_in(sha256s, mine["sha256"].combine_chunks()))
    there = sha256s.is_valid()
    differ = _differing(tables["scores"]["image_error"].filter(there), wanted.filter(there))
    if differ:
        yield f"its image_error is not that of the embeddings ({rows_said(differ)})"


def _embeddings(tables: Tables) -> Iterator[str]:
    table = tables["embeddings"]
    keys = table.select(["model", "sha256"])
    if keys.group_by(["model", "sha256"]).aggregate([]).num_rows != table.num_rows:
        yield "it has an image twice for one model"
    if places := _places(pc.equal(table["image_error"].is_valid(), table["vector"].is_valid())):
        yield f"an image either has an error or a vector ({rows_said(places)})"
    if places := _places(pc.equal(table["origin"].is_valid(), table["vector"].is_null())):
        yield f"a vector without an origin, or the other way round ({rows_said(places)})"
    wanted = tables["downloads"]["sha256"].filter(tables["downloads"]["filename"].is_valid())
    for model in table["model"].unique():
        mine = table.filter(pc.equal(table["model"], model))
        if missing := len(wanted.unique().filter(pc.invert(_is_in(wanted.unique(), mine)))):
            yield f"it has no row for {missing:,} of the images, by the model {model}"
        if fault := _fault_of_vectors(mine["vector"].drop_null()):
            yield fault


def _is_in(values: pa.ChunkedArray, table: pa.Table) -> pa.ChunkedArray:
    return pc.is_in(values, value_set=table["sha256"].combine_chunks())


def _fault_of_vectors(column: pa.ChunkedArray) -> str | None:
    """Return what is wrong with the vectors of one model, in either of the two dtypes."""
    lengths = pc.binary_length(column).unique().to_pylist()
    if len(lengths) > 1 or 0 in lengths:
        return "its vectors have different lengths, or none"
    content = b"".join(column.to_pylist())
    for dtype in (np.float16, np.float32):
        if not lengths or lengths[0] % np.dtype(dtype).itemsize:
            continue
        stored = np.frombuffer(content, dtype).reshape(len(column), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(stored.astype(np.float64), axis=1)
        if np.allclose(norms, 1.0, atol=2 * UNIT):
            return None
    return "its vectors are not all of length 1" if lengths else None


def _fitted_scores(tables: Tables) -> Iterator[str]:
    table, scores = tables["fitted_scores"], tables["scores"]
    if len(table.column_names) > len(FITTED_FIXED):
        there = scores.filter(scores["image_error"].is_null())
        yield from _same_ids(table, there, "candidates with an image")
    elif table.num_rows:
        yield "it has rows without a score"


def _anchor_scores(tables: Tables) -> Iterator[str]:
    table, anchors = tables["anchor_scores"], tables["anchors"]
    there = anchors.filter(anchors["embedding"].is_valid())
    if not np.array_equal(_keys(table), _keys(there)):
        yield "its anchors are not those that have an embedding"


def _languages(tables: Tables) -> Iterator[str]:
    table, candidates = tables["languages"], tables["candidates"]
    there = candidates.filter(_beside_downloads(tables, "filename").is_valid())
    yield from _same_ids(table, there, "downloaded candidates")
    score = table["lang_score"]
    outside = pc.invert(pc.and_(pc.greater_equal(score, 0.0), pc.less_equal(score, 1.0)))
    if places := _places(outside):
        yield f"its column 'lang_score' is no confidence of 0..1 ({rows_said(places)})"
    if places := _places(pc.and_(table["lang"].is_null(), pc.not_equal(score, 0.0))):
        yield f"it is confident of no language ({rows_said(places)})"


def _verdicts(tables: Tables) -> Iterator[str]:
    table, candidates = tables["verdicts"], tables["candidates"]
    yield from _same_ids(table, candidates, "candidates")
    for name in ("filter", "reason"):
        if places := _places(pc.equal(table["kept"], table[name].is_valid())):
            yield f"a row is either kept or has a {name} ({rows_said(places)})"
    if table.num_rows != candidates.num_rows:
        return
    has_image = pc.is_in(_beside_downloads(tables, "status"), value_set=pa.array(_WITH_IMAGE))
    droppers = pc.fill_null(table["filter"], "")
    if places := _differing(pc.equal(droppers, DOWNLOAD), pc.invert(has_image)):
        yield f"not just the rows without an image are dropped for it ({rows_said(places)})"
    if tables["scores"].num_rows == table.num_rows:
        undecoded = pc.and_(has_image, tables["scores"]["image_error"].is_valid())
        if places := _differing(pc.equal(droppers, DECODE), undecoded):
            yield f"not just the damaged images are dropped for it ({rows_said(places)})"


def _same_ids(table: pa.Table, others: pa.Table, what: str) -> Iterator[str]:
    if table.num_rows != others.num_rows:
        yield f"it has {table.num_rows:,} rows for {others.num_rows:,} {what}"
    elif places := _differing(table["id"], others["id"]):
        yield f"its ids are not those of the {what} ({rows_said(places)})"


def _places(mask: pa.ChunkedArray) -> list[int]:
    """Return where a mask is true."""
    places: list[int] = pc.indices_nonzero(pc.fill_null(mask, fill_value=False)).to_pylist()
    return places


def _differing(left: pa.ChunkedArray, right: pa.ChunkedArray) -> list[int]:
    """Return where two columns of equal length differ; null is null, and NaN is NaN."""
    same = pc.or_(
        pc.fill_null(pc.equal(left, right), fill_value=False),
        pc.and_(left.is_null(), right.is_null()),
    )
    if pa.types.is_floating(left.type):
        both = pc.and_(pc.is_nan(left), pc.is_nan(right))
        same = pc.or_(same, pc.fill_null(both, fill_value=False))
    return _places(pc.invert(same))


_Relation: TypeAlias = Callable[[Tables], Iterator[str]]
_RELATIONS: tuple[tuple[str, tuple[str, ...], _Relation], ...] = (
    ("anchors", ("anchors",), _anchors),
    ("neighbors", ("anchors", "neighbors"), _neighbors),
    ("candidates", ("anchors", "neighbors", "candidates"), _candidates),
    ("downloads", ("candidates", "downloads"), _downloads),
    ("embeddings", ("downloads", "embeddings"), _embeddings),
    ("scores", ("candidates", "downloads", "embeddings", "scores"), _scores),
    ("fitted_scores", ("scores", "fitted_scores"), _fitted_scores),
    ("anchor_scores", ("anchors", "anchor_scores"), _anchor_scores),
    ("languages", ("candidates", "downloads", "languages"), _languages),
    ("verdicts", ("candidates", "downloads", "scores", "verdicts"), _verdicts),
)
"""Of each stage: the tables that it is compared with, and how."""


def _check_counts(findings: Findings, tables: Tables, recorded: Recorded) -> None:
    """Count again what each table holds, as its stage does."""
    for stage in STAGES:
        table = tables.get(stage.name)
        if table is None:
            continue
        if stage.name == "verdicts":
            counts = _verdict_counts(table)
        else:
            # Not set up: to count, a stage looks at the table alone.
            counts = stage.__new__(stage).counts(table)
        if counts != recorded.records[stage.name].counts:
            findings.fault(f".stages/{stage.name}.json", "its counts are not those of the table")


def _verdict_counts(table: pa.Table) -> dict[str, int]:
    dropped = Counter(table["filter"].drop_null().to_pylist())
    return {"kept": pc.sum(table["kept"]).as_py() or 0, **dropped}


def _check_names_of_filters(findings: Findings, tables: Tables, recorded: Recorded) -> None:
    """See that every row was dropped by a filter that the run has."""
    if recorded.manifest is None or "verdicts" not in tables:
        return
    chain = {choice.use for choice in recorded.manifest.resolved.filters}
    found = set(tables["verdicts"]["filter"].drop_null().to_pylist())
    if strangers := found - chain - {DOWNLOAD, DECODE}:
        findings.fault("verdicts", f"{min(strangers)!r} dropped rows, and is no filter of the run")


def _check_published(findings: Findings, recorded: Recorded) -> None:
    """Make the published rows again from the tables, and compare them with the dataset's."""
    record = recorded.records[Publishing.name]
    paths = sorted(findings.root / f.path for f in record.files if f.path.endswith(".parquet"))
    if any(map(findings.is_faulty, paths)):
        return
    shards = [read_whole(findings, path, PUBLISHED) for path in paths]
    there = pa.concat_tables(
        [PUBLISHED.empty_table(), *(shard for shard in shards if shard is not None)]
    )
    run_dir = RunDir(findings.root)
    try:
        wanted = published_rows(with_scores(run_dir), run_dir.read("verdicts"))
    except (RunError, pa.ArrowException) as error:
        findings.fault("verdicts", f"they do not fit the other tables: {shortened(error)}")
        return
    if record.counts != {"rows": wanted.num_rows}:
        findings.fault(f".stages/{Publishing.name}.json", "its counts are not those of the rows")
    if there.num_rows != wanted.num_rows:
        findings.fault(
            Publishing.name, f"it has {there.num_rows:,} rows for {wanted.num_rows:,} kept ones"
        )
        return
    for name in PUBLISHED.names:
        if places := _differing(there[name], wanted[name]):
            findings.fault(
                Publishing.name,
                f"its column {name!r} is not what the tables give ({rows_said(places)})",
            )
