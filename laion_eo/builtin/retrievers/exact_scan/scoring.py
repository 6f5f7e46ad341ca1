"""Exact scores for the pairs that the cheap products could not rule out.

The score of a query q and a row x is *the float32 nearest to their exact dot product*. It depends
on nothing else: not on the size of blocks, the engine, the device or the number of threads.

Proven, because a product of two float32 is exact in float64 (24 + 24 bits fit into 53), so that
only the additions round. A float64 sum of dim terms, in whatever order, is off by about
dim · 2^-53 · |q| · |x| at most. Where the sum, moved down and up by twice that bound, rounds to the
same float32 both times, that float32 is the nearest to the exact value, too. The few sums that lie
too close to a boundary between two float32 are computed again without any error.

Fast, because only the pairs that are wanted are summed, by a sparse product of torch where it is
installed; and because each row is widened to float64 once for all queries that want it, in parts
that fit the caches.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.products import MAX_LENGTH, Floats
from laion_eo.builtin.retrievers.exact_scan.topk import MAX_QUERIES, Hits, Numbers
from laion_eo.types import Embeddings

Doubles = NDArray[np.float64]
Sums = Callable[[Doubles, Doubles, Numbers, Numbers], Doubles]
"""(queries, rows, query, row) -> the dot product of each pair, (m,); ``query`` ascends, and within
a query ``row`` does."""
PackedPairs = NDArray[np.uint32]

ROWS_TOGETHER = 1 << 11
"""Rows that are widened together: 12 MB in float64 at 768 dimensions, which caches hold."""
PAIRS_TOGETHER = 1 << 12
"""Pairs that numpy sums together."""
_ROW_BITS = ROWS_TOGETHER.bit_length() - 1
_QUERY_BITS = MAX_QUERIES.bit_length() - 1
_ROW_SHIFT, _ROW_MASK = np.uint32(_ROW_BITS), np.uint32(ROWS_TOGETHER - 1)
_QUERY_SHIFT, _QUERY_MASK = np.uint32(_QUERY_BITS), np.uint32(MAX_QUERIES - 1)
_PART_SHIFT = np.uint32(_QUERY_BITS + _ROW_BITS)


def gather(vectors: NDArray[np.floating], rows: Numbers) -> Floats:
    """Return some rows in float32, (m, dim).

    Args:
        vectors: (rows, dim), of any float.
        rows: int32 or int64, (m,): which rows.
    """
    some = vectors.take(rows, axis=0)
    try:
        import torch
    except ImportError:
        torch = None
    if torch is None or some.dtype != np.float16:  # torch takes no big-endian floats
        with np.errstate(over="ignore"):  # infinite vectors are refused later
            return some.astype(np.float32, copy=False)
    narrow: Floats = torch.from_numpy(some).float().numpy()  # 30 times as fast as numpy
    return narrow


def pack(queries: Numbers, positions: NDArray[np.uint32]) -> PackedPairs:
    """Return pairs as integers that sort by part, then by query, then by row.

    A part is :data:`ROWS_TOGETHER` rows that are widened together::

         31        25 24                 11 10               0
        +------------+---------------------+------------------+
        |    part    |        query        | row of the part  |
        |   7 bits   |       14 bits       |     11 bits      |
        +------------+---------------------+------------------+

    Args:
        queries: int32, (m,), below :data:`MAX_QUERIES`.
        positions: uint32, (m,), below 2^18: the high bits are the part, the low ones the row of the
            part.
    """
    packed = positions >> _ROW_SHIFT  # in place from here on: there are many
    packed <<= _QUERY_SHIFT
    packed |= queries.astype(np.uint32)
    packed <<= _ROW_SHIFT
    packed |= positions & _ROW_MASK
    return packed


def unpack(packed: PackedPairs) -> tuple[Numbers, Numbers]:
    """Return the queries and the rows of the part, int32 (m,) each, of packed pairs of one part."""
    queries = (packed >> _ROW_SHIFT & _QUERY_MASK).astype(np.int32)
    return queries, (packed & _ROW_MASK).astype(np.int32)


class ExactScores:
    """Correctly rounded scores of chosen pairs.

    Args:
        queries: float32, (n, dim).
        sums: What sums the products of pairs; the fastest that is installed by default.
        doubt: By how much a sum may be off; more than the proven bound costs time and changes no
            score.
    """

    def __init__(
        self, queries: Embeddings, sums: Sums | None = None, doubt: float | None = None
    ) -> None:
        self._wide = queries.astype(np.float64)
        # Twice the bound, as the comparison with its neighbours rounds, too.
        bound = queries.shape[1] * 2.0**-52 * MAX_LENGTH**2
        self._doubt = bound if doubt is None else max(doubt, bound)
        self._sums = sums or choose_sums()

    def __call__(self, vectors: NDArray[np.floating], pairs: Hits) -> Iterator[Hits]:
        """Yield the pairs with their exact scores, in parts; the queries of each part ascend.

        Args:
            vectors: (rows, dim), of length at most :data:`MAX_LENGTH`; rounded to float32.
            pairs: Pairs with any scores.
        """
        # Rows that no pair wants are left out: a pair's position counts the wanted rows before.
        wanted = np.zeros(len(vectors), np.bool_)
        wanted[pairs.rows] = True
        chosen = np.flatnonzero(wanted).astype(np.int32)
        positions = np.cumsum(wanted, dtype=np.uint32)[pairs.rows] - np.uint32(1)
        packed = pack(pairs.queries, positions)
        packed.sort()
        # Sorted, the pairs of a part stand together, in the order that the sparse product needs.
        parts = -(-len(chosen) // ROWS_TOGETHER)
        bounds = np.searchsorted(packed >> _PART_SHIFT, np.arange(parts + 1, dtype=np.uint32))
        for part in range(parts):
            queries, rows = unpack(packed[bounds[part] : bounds[part + 1]])
            here = chosen[part * ROWS_TOGETHER : (part + 1) * ROWS_TOGETHER]
            yield Hits(queries, here[rows], self._score(gather(vectors, here), queries, rows))

    def _score(self, narrow: Floats, queries: Numbers, rows: Numbers) -> Floats:
        """Return the float32 nearest to each exact product, (m,)."""
        sums = self._sums(self._wide, narrow.astype(np.float64), queries, rows)
        rounded = sums.astype(np.float32)
        # Where a sum that is off by the doubt would round otherwise, it is made again, exactly.
        below, above = sums - self._doubt, sums + self._doubt
        for pair in np.flatnonzero(below.astype(np.float32) != above.astype(np.float32)):
            terms = self._wide[queries[pair]] * narrow[rows[pair]]  # exact: float32 times float32
            rounded[pair] = _nearest(terms.tolist())
        return rounded


def _nearest(terms: list[float]) -> np.float32:
    """Return the float32 nearest to the exact sum of float64 numbers.

    ``fsum`` rounds correctly to float64, but rounding that again to float32 may err: the exact sum
    can lie just beside the middle between two float32, and its float64 on that middle. So the first
    rounding goes to the neighbour whose last bit is odd wherever it is not exact. An odd float64 is
    never such a middle (which has 25 significant bits), and lies on the same side of it as the
    exact sum.
    """
    total = math.fsum(terms)
    rest = math.fsum([*terms, -total])
    is_odd = bool(np.float64(total).view(np.int64) & 1)
    if rest != 0 and not is_odd:
        total = math.nextafter(total, math.copysign(math.inf, rest))
    return np.float32(total)


def choose_sums() -> Sums:
    """Return what sums the products of pairs: torch where it can, five times as fast as numpy."""
    try:
        import torch
    except ImportError:
        return sums_by_numpy
    if not torch.backends.mkl.is_available():
        return sums_by_numpy
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
    return sums_by_torch


def sums_by_numpy(
    queries: Doubles,
    rows: Doubles,
    query: Numbers,
    row: Numbers,
    pairs_together: int = PAIRS_TOGETHER,
) -> Doubles:
    """Sum the products of pairs, some at a time, so that their vectors stay in the caches."""
    sums = np.empty(len(query), np.float64)
    for start in range(0, len(query), pairs_together):
        some = slice(start, start + pairs_together)
        np.einsum("ij,ij->i", queries[query[some]], rows[row[some]], out=sums[some])
    return sums


def sums_by_torch(queries: Doubles, rows: Doubles, query: Numbers, row: Numbers) -> Doubles:
    """Sum the products of pairs as the entries of a sparse matrix: nothing else is computed."""
    import torch

    # In compressed rows, the entries of query i lie between starts[i] and starts[i + 1].
    starts = np.searchsorted(query, np.arange(len(queries) + 1, dtype=np.int32)).astype(np.int32)
    pattern = torch.sparse_csr_tensor(
        torch.from_numpy(starts),
        torch.from_numpy(row),
        torch.zeros(len(row), dtype=torch.float64),
        (len(queries), len(rows)),
        check_invariants=True,
    )
    left, right = torch.from_numpy(queries), torch.from_numpy(rows)
    sums: Doubles = torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values().numpy()
    return sums
