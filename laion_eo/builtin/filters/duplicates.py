"""Filter ``duplicates``: one row per URL, per content, and per picture (section 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from laion_eo.builtin.filters.hamming import NearPairs, Rows, near_pairs
from laion_eo.builtin.filters.nearest_kept import NearestKept
from laion_eo.component import ComponentConfig
from laion_eo.errors import ConfigError
from laion_eo.kinds import Filter, FitData
from laion_eo.types import JSON, Verdict

Key = Literal["url", "sha256", "perceptual_hash", "embedding"]
GROUPS = "duplicates.parquet"
READ_TOGETHER = 8192
"""Rows whose embeddings are read at a time."""
_GROUPS = pa.schema(
    [("group", pa.int64()), ("id", pa.int64()), ("by", pa.string()), ("distance", pa.float64())]
)


class Duplicates(Filter):
    """Keeps the best copy of each image: the largest, then the most similar, then the first.

    Only a kept image removes its duplicates, a removed one does not, so that a chain of small
    changes does not merge different images at its ends. Every group is written to
    ``duplicates.parquet`` in the run directory: ``group`` (the id that is kept), ``id`` (the one
    that is dropped), ``by`` (what they were matched on) and ``distance`` (bits, or 1 - cosine).
    """

    name = "duplicates"
    judges_alone = False
    summary = "keeps the best copy per URL, content, perceptual hash or embedding"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            by: What duplicates are matched on; any of these is enough. ``perceptual_hash`` needs
                the scorer ``perceptual-hash``.
            bits: Bits, of 64, in which the perceptual hashes of two copies may differ.
            cosine: Least cosine between the embeddings of two copies. Up to 32,768 rows every copy
                is found; beyond that, all but a few in a thousand (``nearest_kept.py``).
        """

        by: tuple[Key, ...] = ("url", "sha256")
        bits: int = Field(default=4, ge=0, le=16)
        cosine: float = Field(default=0.96, gt=0, le=1)

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return what rows are compared by, and what the best copy is chosen by."""
        columns = (name for name in self.config.by if name != "embedding")
        return (*columns, "width", "height", "fast_similarity")

    def fit(self, data: FitData) -> None:
        """Find the groups, and choose which row of each is kept."""
        table = data.table
        for name in self.config.by:
            if name != "embedding" and name not in table.column_names:
                scorer = name.replace("_", "-")
                raise ConfigError(f"duplicates needs {name!r}: add {scorer!r} to [[scorers]].")
        order = best_first(table)
        likenesses = [self._likeness(name, data, order) for name in self.config.by]
        ids = table["id"].to_pylist()
        self._reasons: dict[int, str] = {}
        rows = []
        for row in order.tolist():
            twin = next(filter(None, (likeness.twin(row) for likeness in likenesses)), None)
            if twin is None:
                for likeness in likenesses:
                    likeness.keep(row)
                continue
            kept, dropped = ids[twin.row], ids[row]
            self._reasons[dropped] = twin.reason(kept)
            rows.append((kept, dropped, twin.by, twin.distance))
        self._facts = {"groups": len({row[0] for row in rows}), "dropped": len(rows)}
        if self.context.work_dir:
            columns = list(zip(*rows, strict=True)) or [()] * len(_GROUPS)
            pq.write_table(pa.table(columns, schema=_GROUPS), self.context.work_dir / GROUPS)

    def _likeness(self, name: Key, data: FitData, order: Rows) -> _Likeness:
        if name == "embedding":
            return _Vectors(_matrix(data), order, self.config.cosine)
        encoded = data.table[name].combine_chunks().dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        if name == "perceptual_hash":
            hashes = encoded.dictionary.to_numpy(zero_copy_only=False).astype(np.uint64)
            return _Values(name, codes, near_pairs(hashes, self.config.bits))
        none = np.zeros(0, dtype=np.int64)
        return _Values(name, codes, (none, none, np.zeros(0, dtype=np.uint8)))

    def keep(self, batch: pa.Table) -> Verdict:
        """Keep the rows that are not duplicates; rows are matched on ``id``."""
        reasons = [self._reasons.get(row, "") for row in batch["id"].to_pylist()]
        return Verdict(np.array([not reason for reason in reasons], dtype=bool), reasons)

    def facts(self) -> dict[str, JSON]:
        """Return the number of groups, and of rows that are dropped from them."""
        return dict(self._facts)


def best_first(table: pa.Table) -> Rows:
    """Return the row indices, the best copy first: the largest, the most similar, the first.

    Args:
        table: With ``width``, ``height``, and ``image_similarity`` or ``fast_similarity``.
    """
    similarity = "image_similarity"
    if similarity not in table.column_names:
        similarity = "fast_similarity"
    pixels = table["width"].to_numpy().astype(np.int64) * table["height"].to_numpy()
    return np.lexsort((np.arange(table.num_rows), -table[similarity].to_numpy(), -pixels))


@dataclass(frozen=True, slots=True)
class _Twin:
    """The kept row that a row is a copy of: its index, what they are matched on, their distance."""

    row: int
    by: Key
    distance: float

    def reason(self, kept: int) -> str:
        if self.by == "perceptual_hash":
            return f"{self.distance:.0f} bits of the perceptual hash from id {kept}"
        if self.by == "embedding":
            return f"cosine {1 - self.distance:.4f} to id {kept}"
        return f"same {self.by} as id {kept}"


class _Likeness(Protocol):
    """Which rows are copies of each other, judged by one key."""

    def twin(self, row: int) -> _Twin | None:
        """Return the nearest kept row that this one is a copy of."""

    def keep(self, row: int) -> None:
        """Record that this row is kept."""


class _Values:
    """Rows with equal values are copies, and so are rows with values near each other.

    Args:
        by: The key.
        codes: int64, (rows,): the code of each row's value; -1 for a row that has none.
        near: (pairs,) each: the codes of pairs of values near each other, and their distances.
    """

    def __init__(self, by: Key, codes: Rows, near: NearPairs) -> None:
        first, second, distance = near
        self._by = by
        self._codes = codes
        values = int(codes.max(initial=-1)) + 1
        self._kept = np.full(values, -1, dtype=np.int64)
        # Each pair both ways, sorted by its first code: the values near value i are those between
        # starts[i] and starts[i + 1].
        both = np.concatenate([first, second])
        order = np.argsort(both, kind="stable")
        self._near = np.concatenate([second, first])[order]
        self._distance = np.concatenate([distance, distance])[order].astype(np.float64)
        self._starts = np.searchsorted(both[order], np.arange(values + 1))

    def twin(self, row: int) -> _Twin | None:
        code = self._codes[row]
        if code < 0:
            return None
        if self._kept[code] >= 0:
            return _Twin(int(self._kept[code]), self._by, 0.0)
        some = slice(self._starts[code], self._starts[code + 1])
        if some.start == some.stop:
            return None
        kept = self._kept[self._near[some]]
        distance = np.where(kept >= 0, self._distance[some], np.inf)
        nearest = int(np.argmin(distance))
        if np.isinf(distance[nearest]):
            return None
        return _Twin(int(kept[nearest]), self._by, float(distance[nearest]))

    def keep(self, row: int) -> None:
        code = self._codes[row]
        if code >= 0 and self._kept[code] < 0:
            self._kept[code] = row


class _Vectors:
    """Rows with embeddings near each other are copies; a row without one is a copy of none.

    Args:
        vectors: float16, (rows, dim); zeros where a row has no embedding.
        order: The row indices, best first.
        cosine: Least cosine between two copies.
    """

    def __init__(self, vectors: NDArray[np.float16], order: Rows, cosine: float) -> None:
        self._has_vector: NDArray[np.bool_] = np.asarray(vectors.any(axis=1))
        self._kept = NearestKept(vectors, order[self._has_vector[order]], cosine)

    def twin(self, row: int) -> _Twin | None:
        found = self._kept.nearest(row) if self._has_vector[row] else None
        return None if found is None else _Twin(found[0], "embedding", 1.0 - found[1])

    def keep(self, row: int) -> None:
        if self._has_vector[row]:
            self._kept.keep(row)


def _matrix(data: FitData) -> NDArray[np.float16]:
    """Return the embeddings: those of a scorer's column if there is one, or else the stored ones.

    Returns:
        float16, (rows, dim); zeros where there is none.
    """
    table = data.table
    if "embedding" in table.column_names:
        return _of_lists(table["embedding"])
    starts = range(0, table.num_rows, READ_TOGETHER)
    parts = [data.vectors(table.slice(start, READ_TOGETHER)) for start in starts]
    return np.concatenate([part.astype(np.float16) for part in parts] or [np.zeros((0, 1), "f2")])


def _of_lists(column: pa.ChunkedArray) -> NDArray[np.float16]:
    """Return lists as the rows of a matrix; zeros where there is none."""
    lengths = pc.list_value_length(column)
    matrix = np.zeros((len(column), pc.max(lengths).as_py() or 0), dtype=np.float16)
    start = 0
    for chunk in column.chunks:  # joined, they could have too many numbers for 32-bit offsets
        rows = start + np.flatnonzero(chunk.is_valid().to_numpy(zero_copy_only=False))
        flat = chunk.drop_null().flatten().to_numpy(zero_copy_only=False)
        matrix[rows] = flat.reshape(len(rows), matrix.shape[1])
        start += len(chunk)
    return matrix
