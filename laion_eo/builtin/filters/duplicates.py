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

from laion_eo.builtin.filters.hamming import NearPairs, Places, near_pairs
from laion_eo.builtin.filters.nearest_kept import NearestKept
from laion_eo.component import ComponentConfig
from laion_eo.errors import ConfigError
from laion_eo.kinds import Filter
from laion_eo.types import JSON, Verdict

Key = Literal["url", "sha256", "perceptual_hash", "embedding"]
GROUPS = "duplicates.parquet"
_GROUPS = pa.schema(
    [("group", pa.int64()), ("id", pa.int64()), ("by", pa.string()), ("distance", pa.float64())]
)


class Duplicates(Filter):
    """Keeps the best copy of each image: the largest, then the most similar, then the first.

    The best copy takes its duplicates out; a duplicate takes nobody out, so that a chain of small
    changes does not merge what is different at its ends. Every group goes to ``duplicates.parquet``
    in the run directory: ``group`` (the kept id), ``id`` (the dropped one), ``by`` and
    ``distance`` (bits, or 1 - cosine).
    """

    name = "duplicates"
    summary = "keeps the best copy per URL, content, perceptual hash or embedding"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            by: What makes two rows the same, each judged on its own. ``perceptual_hash`` and
                ``embedding`` need the scorers of these names.
            bits: Bits of 64 by which the perceptual hashes of one picture may differ.
            cosine: Least cosine of the embeddings of one picture. Up to 32,768 rows every copy is
                found; of more, all but a few in a thousand (``nearest_kept.py``).
        """

        by: tuple[Key, ...] = ("url", "sha256")
        bits: int = Field(default=4, ge=0, le=16)
        cosine: float = Field(default=0.96, gt=0, le=1)

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return what rows are compared by, and what the best copy is chosen by."""
        return (*self.config.by, "width", "height", "fast_similarity")

    def fit(self, table: pa.Table) -> None:
        """Find the groups, and choose what stays of each."""
        for name in self.config.by:
            if name not in table.column_names:
                scorer = name.replace("_", "-")
                raise ConfigError(f"duplicates needs {name!r}: add {scorer!r} to [[scorers]].")
        order = best_first(table)
        likenesses = [self._likeness(name, table[name], order) for name in self.config.by]
        ids = table["id"].to_pylist()
        self._reasons: dict[int, str] = {}
        rows = []
        for place in order.tolist():
            twin = next(filter(None, (likeness.twin(place) for likeness in likenesses)), None)
            if twin is None:
                for likeness in likenesses:
                    likeness.keep(place)
                continue
            keeper, row = ids[twin.place], ids[place]
            self._reasons[row] = twin.reason(keeper)
            rows.append((keeper, row, twin.by, twin.distance))
        self._facts = {"groups": len({row[0] for row in rows}), "dropped": len(rows)}
        if self.context.work_dir:
            columns = list(zip(*rows, strict=True)) or [()] * len(_GROUPS)
            pq.write_table(pa.table(columns, schema=_GROUPS), self.context.work_dir / GROUPS)

    def _likeness(self, name: Key, column: pa.ChunkedArray, order: Places) -> _Likeness:
        if name == "embedding":
            return _Vectors(column, order, self.config.cosine)
        encoded = column.combine_chunks().dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        if name == "perceptual_hash":
            hashes = encoded.dictionary.to_numpy(zero_copy_only=False).astype(np.uint64)
            return _Values(name, codes, near_pairs(hashes, self.config.bits))
        none = np.zeros(0, dtype=np.int64)
        return _Values(name, codes, (none, none, np.zeros(0, dtype=np.uint8)))

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge the rows' ids."""
        reasons = [self._reasons.get(row, "") for row in batch["id"].to_pylist()]
        return Verdict(np.array([not reason for reason in reasons], dtype=bool), reasons)

    def facts(self) -> dict[str, JSON]:
        """Return the number of groups, and of rows dropped from them."""
        return dict(self._facts)


def best_first(table: pa.Table) -> Places:
    """Return the places of the rows, the best copy first: largest, most similar, first.

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
    """The kept row that a row is a copy of: its place, by which key, how far away."""

    place: int
    by: Key
    distance: float

    def reason(self, keeper: int) -> str:
        if self.by == "perceptual_hash":
            return f"{self.distance:.0f} bits of the perceptual hash from id {keeper}"
        if self.by == "embedding":
            return f"cosine {1 - self.distance:.4f} to id {keeper}"
        return f"same {self.by} as id {keeper}"


class _Likeness(Protocol):
    """What one key makes the same."""

    def twin(self, place: int) -> _Twin | None:
        """Return the nearest kept row that this one is a copy of."""

    def keep(self, place: int) -> None:
        """Note that this row is kept."""


class _Values:
    """Rows of one value are the same, and those of values that are near each other.

    Args:
        by: The key.
        codes: int64, (rows,): the number of each row's value; -1 is like nothing.
        near: (pairs,) each: numbers of values that are near, those of the others, at which distance
    """

    def __init__(self, by: Key, codes: Places, near: NearPairs) -> None:
        first, second, distance = near
        self._by = by
        self._codes = codes
        values = int(codes.max(initial=-1)) + 1
        self._kept = np.full(values, -1, dtype=np.int64)
        both = np.concatenate([first, second])
        order = np.argsort(both, kind="stable")
        self._near = np.concatenate([second, first])[order]
        self._distance = np.concatenate([distance, distance])[order].astype(np.float64)
        self._starts = np.searchsorted(both[order], np.arange(values + 1))

    def twin(self, place: int) -> _Twin | None:
        code = self._codes[place]
        if code < 0:
            return None
        if self._kept[code] >= 0:
            return _Twin(int(self._kept[code]), self._by, 0.0)
        some = slice(self._starts[code], self._starts[code + 1])
        if some.start == some.stop:
            return None
        keepers = self._kept[self._near[some]]
        distance = np.where(keepers >= 0, self._distance[some], np.inf)
        nearest = int(np.argmin(distance))
        if np.isinf(distance[nearest]):
            return None
        return _Twin(int(keepers[nearest]), self._by, float(distance[nearest]))

    def keep(self, place: int) -> None:
        code = self._codes[place]
        if code >= 0 and self._kept[code] < 0:
            self._kept[code] = place


class _Vectors:
    """Rows of near embeddings are the same; a row without one is like nothing.

    Args:
        column: Lists of numbers, null among them.
        order: The places, best first.
        cosine: Least cosine of two copies.
    """

    def __init__(self, column: pa.ChunkedArray, order: Places, cosine: float) -> None:
        vectors = _matrix(column)
        self._there: NDArray[np.bool_] = np.asarray(vectors.any(axis=1))
        self._kept = NearestKept(vectors, order[self._there[order]], cosine)

    def twin(self, place: int) -> _Twin | None:
        found = self._kept.nearest(place) if self._there[place] else None
        return found and _Twin(found[0], "embedding", 1.0 - found[1])

    def keep(self, place: int) -> None:
        if self._there[place]:
            self._kept.keep(place)


def _matrix(column: pa.ChunkedArray) -> NDArray[np.float16]:
    """Return the lists as rows, zeros where there is none."""
    lengths = pc.list_value_length(column)
    matrix = np.zeros((len(column), pc.max(lengths).as_py() or 0), dtype=np.float16)
    start = 0
    for chunk in column.chunks:  # all chunks in one array could be too long for its offsets
        rows = start + np.flatnonzero(chunk.is_valid().to_numpy(zero_copy_only=False))
        flat = chunk.drop_null().flatten().to_numpy(zero_copy_only=False)
        matrix[rows] = flat.reshape(len(rows), matrix.shape[1])
        start += len(chunk)
    return matrix
