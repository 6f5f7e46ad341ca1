"""Pools altered at random, and what a search in them may give."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from numpy.typing import NDArray

from laion_eo.component import Context
from laion_eo.kinds import Retriever
from laion_eo.kinds.contract import check_lookup, check_neighbors

K = 5
Draw = Callable[[Any], Any]

KEYS = ("model_id", "dim", "weights_sha256", "rows", "skipped", "complete", "files", "checksum",
        "index", "before_re_laion", "anything")  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -1, 2**63, 0, "colours-1", "", "\ud800", "a\0b", "../../etc"])
    | st.floats()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, "path", "bytes", "sha256"]), inner, max_size=4)
    ),
    max_leaves=8,
)
SHAPES = ("(8, 16)", "(3, 16)", "(8, 49)", "(16, 8)", "(128,)", "()", "(0, 16)", "(8, 0)", "(0, 0)",
          "(-1, 16)", "(8, -16)", "(True, 16)", "(8.0, 16)", f"({10**30}, 16)", f"({2**62}, 0)",
          f"({2**63}, 16)", f"({2**40}, {2**40})", "(8, 16, 1)", "(8, 'x')", "[8, 16]", "8", "None",
          "((8, 16),)")  # fmt: skip
TYPES = ("'<f2'", "'<f4'", "'>f4'", "'<f8'", "'<f16'", "'|O'", "'<i2'", "'|V2'", "'<U4'",
         "'<M8[s]'", "'<c8'", "'|b1'", "[('a', '<f2')]", "('<f2', (2,))", "'nonsense'", "3", "None",
         "'<f0'")  # fmt: skip
COLUMNS: tuple[tuple[str, Callable[[int], pa.Array]], ...] = (
    ("url", lambda n: pa.array([f"http://other/{i}" for i in range(n)], pa.large_string())),
    ("url", lambda n: pa.array([None] * n, pa.string())),
    ("url", lambda n: pa.nulls(n)),
    ("url", lambda n: pa.array(range(n), pa.int64())),
    ("url", lambda n: pa.array([float("nan")] * n)),
    ("url", lambda n: pa.array([b"\xff\xfe"] * n, pa.binary())),
    ("url", lambda n: pa.array([{"a": 1}] * n)),
    ("url", lambda n: pa.array([["x"]] * n)),
    ("url", lambda n: pa.array(["x"] * n).dictionary_encode()),
    ("URL", lambda n: pa.array([f"http://upper/{i}" for i in range(n)])),
    ("caption", lambda n: pa.array([None, *["x"] * (n - 1)] if n else [], pa.string())),
    ("caption", lambda n: pa.array([True] * n)),
    ("TEXT", lambda n: pa.array(["a\0b\n"] * n)),
    ("key", lambda n: pa.array(["k"] * n)),
)  # fmt: skip


def alter(pool: Path, draw: Draw) -> str:
    """Alter something of a pool; return what, for the report."""
    files = sorted(path for path in pool.rglob("*") if path.is_file() and path.name != ".lock")
    if not files:
        return "nothing left"
    path = draw(st.sampled_from(files))
    how = draw(st.sampled_from([*ALTERATIONS]))
    try:
        ALTERATIONS[how](path, pool, draw)
    except Exception:  # noqa: BLE001 - of numpy, pyarrow or the disk, on what an earlier alteration left
        return f"{how} of {path.name} could not be done"
    return f"{how} of {path.relative_to(pool)}"


def _one_of(draw: Draw, paths: list[Path]) -> Path:
    if not paths:
        raise FileNotFoundError
    found: Path = draw(st.sampled_from(paths))
    return found


def _bytes(path: Path, pool: Path, draw: Draw) -> None:
    content = bytearray(path.read_bytes())
    place = draw(st.integers(0, max(0, len(content) - 1)))
    kind = draw(st.sampled_from(["flip", "cut", "zero", "insert", "overwrite", "empty"]))
    some = draw(st.binary(min_size=1, max_size=16))
    if kind == "flip" and content:
        content[place] ^= 1 << draw(st.integers(0, 7))
    elif kind == "cut":
        del content[place:]
    elif kind == "zero":
        content[place:] = bytes(len(content) - place)
    elif kind == "insert":
        content[place:place] = some
    elif kind == "overwrite":
        content[place : place + len(some)] = some
    else:
        content.clear()
    path.write_bytes(content)


def _head(path: Path, pool: Path, draw: Draw) -> None:
    """Bytes of the beginning or the end, where formats keep their headers."""
    content = bytearray(path.read_bytes())
    place = draw(st.integers(0, max(0, min(len(content) - 1, 200))))
    place = draw(st.sampled_from([place, len(content) - 1 - place]))
    content[place] ^= 1 << draw(st.integers(0, 7))
    path.write_bytes(content)


def _delete(path: Path, pool: Path, draw: Draw) -> None:
    path.unlink()


def _delete_folder(path: Path, pool: Path, draw: Draw) -> None:
    if path.parent != pool:
        shutil.rmtree(path.parent)


def _rename(path: Path, pool: Path, draw: Draw) -> None:
    path.rename(path.with_name(draw(st.sampled_from(_NAMES)) + path.suffix))


_NAMES = (
    "img_emb_0",
    "img_emb_9",
    "metadata_00",
    "metadata_000",
    "a b",
    "\u00e9",
    "index",
    "x" * 99,
)


def _copy(path: Path, pool: Path, draw: Draw) -> None:
    folder = draw(st.sampled_from([path.parent, pool, pool / "img_emb", pool / "metadata"]))
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / (draw(st.sampled_from(_NAMES)) + path.suffix))


def _swap(path: Path, pool: Path, draw: Draw) -> None:
    other = _one_of(draw, sorted(path.parent.glob(f"*{path.suffix}")))
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def _link(path: Path, pool: Path, draw: Draw) -> None:
    target = draw(st.sampled_from([path.with_name(f"{path.name}.real"), Path("/dev/null"), path]))
    if target == path.with_name(f"{path.name}.real"):
        path.rename(target)
    else:
        path.unlink()
    path.symlink_to(target)


def _folder(path: Path, pool: Path, draw: Draw) -> None:
    path.unlink()
    path.mkdir()


def _json(path: Path, pool: Path, draw: Draw) -> None:
    target = _one_of(draw, sorted({pool / "index.json", *pool.glob(".done/*.json")}))
    kind = draw(st.sampled_from(["edit", "replace", "text", "deep"]))
    if kind == "edit":
        about = json.loads(target.read_text()) if target.is_file() else {}
        about[draw(st.sampled_from(KEYS))] = draw(VALUES)
        target.write_text(json.dumps(about))
    elif kind == "replace":
        target.write_text(json.dumps(draw(VALUES)))
    elif kind == "text":
        target.write_bytes(draw(st.binary(max_size=30)))
    else:
        target.write_text("[" * 100_000)


def _npy(path: Path, pool: Path, draw: Draw) -> None:
    target = _one_of(draw, sorted(pool.rglob("*.npy")))
    order, shape, kind = (
        draw(st.sampled_from(values)) for values in (("True", "False", "1"), SHAPES, TYPES)
    )
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    header = draw(st.sampled_from([header, header, header, "-" * 9000 + "1", "(" * 9000, "{"]))
    version = draw(st.sampled_from([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9)]))
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    data = draw(st.sampled_from([target.read_bytes()[128:], b"", bytes(1000)]))
    target.write_bytes(b"\x93NUMPY" + bytes(version) + length + header.encode() + data)


def _array(path: Path, pool: Path, draw: Draw) -> None:
    target = _one_of(draw, sorted(pool.rglob("*.npy")))
    vectors = np.load(target)
    kind = draw(st.sampled_from(["nan", "zero", "row", "f2", "f8", "T", "object", "short", "2"]))
    if kind in ("nan", "zero") and len(vectors):
        vectors[draw(st.integers(0, len(vectors) - 1))] = np.nan if kind == "nan" else 0
    elif kind == "row" and vectors.size:
        vectors[0, 0] = draw(st.floats(-2, 2, width=16))
    elif kind in ("f2", "f8"):
        vectors = vectors.astype(kind)
    elif kind == "T":
        vectors = vectors.T
    elif kind == "object":
        vectors = np.array([{}, print], object)
    elif kind == "short":
        vectors = vectors[:-1]
    else:
        vectors = vectors * 2
    np.save(target, vectors, allow_pickle=True)


def _parquet(path: Path, pool: Path, draw: Draw) -> None:
    target = _one_of(draw, sorted(pool.rglob("*.parquet")))
    table = pq.read_table(target)
    kind = draw(st.sampled_from(["column", "drop", "rows", "twice", "groups"]))
    if kind == "column":
        name, make = draw(st.sampled_from(COLUMNS))
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, make(len(table)))
    elif kind == "drop":
        table = table.drop_columns([draw(st.sampled_from(table.column_names))])
    elif kind == "rows":
        table = table.slice(draw(st.integers(0, 2)), draw(st.integers(0, 9)))
    elif kind == "twice":
        name = draw(st.sampled_from(table.column_names))
        table = table.append_column(name, table[name])
    pq.write_table(table, target, row_group_size=3 if kind == "groups" else None)


ALTERATIONS: dict[str, Callable[[Path, Path, Draw], None]] = {
    "bytes": _bytes,
    "head": _head,
    "deleting": _delete,
    "deleting the folder": _delete_folder,
    "renaming": _rename,
    "copying": _copy,
    "swapping": _swap,
    "linking": _link,
    "a folder in place": _folder,
    "json": _json,
    "npy": _npy,
    "array": _array,
    "parquet": _parquet,
}


@dataclass(frozen=True)
class Found:
    """What a search gave.

    Attributes:
        ids: Row indices, best first.
        scores: Their similarities.
        rows: By row index, URL and caption, as bytes where they are not UTF-8.
        vouched: Whether a record vouches for the pool.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    rows: dict[int, tuple[Any, Any]]
    vouched: bool = False

    def assert_same(self, wanted: Found) -> None:
        """Compare with what is right."""
        np.testing.assert_array_equal(self.ids, wanted.ids)
        np.testing.assert_array_equal(self.scores, wanted.scores)
        assert self.rows == {row: wanted.rows[row] for row in self.rows}


def searched(kind: type[Retriever], options: dict[str, Any], queries: NDArray[np.float32]) -> Found:
    """Search a pool as a run does."""
    retriever = kind(kind.Config.model_validate(options), Context())
    retriever.check()
    retriever.pool_model()
    retriever.before_re_laion()
    retriever.identity()
    retriever.pool_size()
    retriever.setup()
    found = retriever.search(queries, K)
    check_neighbors(retriever, found, len(queries), K)
    ids = np.unique(found.ids[found.ids >= 0])
    table = check_lookup(retriever, retriever.lookup(ids), len(ids))
    rows = zip(_values(table["url"]), _values(table["caption"]), strict=True)
    facts = retriever.facts()
    retriever.close()
    by_id = dict(zip(ids.tolist(), rows, strict=True))
    return Found(found.ids, found.scores, by_id, bool(facts["vouched"]))


def on_disk(pool: Path, queries: NDArray[np.float32]) -> Found:
    """Read a third-party pool with numpy and pyarrow alone, and compare every row."""
    arrays = [path for path in sorted((pool / "img_emb").glob("*.npy")) if path.is_file()]
    none = np.zeros((0, queries.shape[1]))
    vectors = np.concatenate([none, *(np.load(path) for path in arrays)])
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    order = np.lexsort((np.broadcast_to(np.arange(len(vectors)), scores.shape), -scores))[:, :K]
    ids = np.full((len(queries), K), -1, np.int64)
    best = np.full((len(queries), K), -np.inf, np.float32)
    ids[:, : order.shape[1]] = order
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    return Found(ids, best, rows_on_disk(pool))


def rows_on_disk(pool: Path) -> dict[int, tuple[Any, Any]]:
    """Read the metadata of a third-party pool with pyarrow alone."""
    files = [path for path in sorted((pool / "metadata").glob("*.parquet")) if path.is_file()]
    tables = [pq.read_table(path) for path in files]
    columns = []
    for names in (("url",), ("caption", "text")):
        column: list[Any] = []
        for table in tables:
            found = [name for name in table.column_names if name.lower() in names]
            found.sort(key=lambda name: (names.index(name.lower()), name not in names))
            # A file without it is no fault as long as no row of it is asked for.
            column += _values(table[found[0]]) if found else ["no such column"] * len(table)
        columns.append(column)
    return dict(enumerate(zip(*columns, strict=True)))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return texts as bytes, so that those that are not UTF-8 can be compared; others as text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    elif not (pa.types.is_binary(column.type) or pa.types.is_null(column.type)):
        column = column.cast(pa.string()).cast(pa.large_binary())
    values: list[Any] = column.to_pylist()
    return values
