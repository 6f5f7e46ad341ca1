"""Exact scores for the pairs that survive the cheap product.

The score of a query q and a row x is *the float32 nearest to their exact dot product*. It depends
on nothing else: not on the size of blocks, the engine, the device or the number of threads. Pairs
are summed in float64, and the few sums too close to a rounding boundary of float32 are summed
without any error.
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

ROWS_TOGETHER = 1 << 11
"""Rows that are widened together: 12 MB in float64 at 768 dimensions, which caches hold."""
# MAX_ROWS / ROWS_TOGETHER parts, MAX_QUERIES queries and ROWS_TOGETHER places: 32 bits in all.
_PLACE, _PLACES = np.uint32(ROWS_TOGETHER.bit_length() - 1), np.uint32(ROWS_TOGETHER - 1)
_QUERY, _QUERIES = np.uint32(MAX_QUERIES.bit_length() - 1), np.uint32(MAX_QUERIES - 1)
PAIRS_TOGETHER = 1 << 12
"""Pairs that numpy sums together."""


def gather(vectors: NDArray[np.floating], places: Numbers) -> Floats:
    """Return rows in float32, (m, dim).

    Args:
        vectors: (rows, dim), of any float.
        places: int32 or int64, (m,): which rows.
    """
    some = vectors.take(places, axis=0)
    try:
        import torch
    except ImportError:
        torch = None
    if torch is None or some.dtype != np.float16:  # torch takes no big-endian floats
        with np.errstate(over="ignore"):  # infinite vectors are refused later
            return some.astype(np.float32, copy=False)
    narrow: Floats = torch.from_numpy(some).float().numpy()  # 30 times as fast as numpy
    return narrow


class ExactScores:
    """Correctly rounded scores of chosen pairs.

    Args:
        queries: float32, (n, dim).
    """

    def __init__(self, queries: Embeddings) -> None:
        self._wide = queries.astype(np.float64)
        self._doubt = queries.shape[1] * 2.0**-52 * MAX_LENGTH**2
        self._sums = _choose_sums()

    def __call__(self, vectors: NDArray[np.floating], pairs: Hits) -> Iterator[Hits]:
        """Yield the pairs with their exact scores, in parts; the queries of each part ascend.

        A row is widened once for all its queries.

        Args:
            vectors: (rows, dim), of length at most :data:`MAX_LENGTH`; rounded to float32.
            pairs: With any scores.
        """
        wanted = np.zeros(len(vectors), np.bool_)
        wanted[pairs.rows] = True
        chosen = np.flatnonzero(wanted).astype(np.int32)
        places = np.cumsum(wanted, dtype=np.uint32)[pairs.rows] - np.uint32(1)
        # One integer orders by the rows that are widened together, then by query, then by row.
        keys = places >> _PLACE << _QUERY
        keys |= pairs.queries.astype(np.uint32)
        keys <<= _PLACE
        keys |= places & _PLACES
        keys.sort()
        parts = -(-len(chosen) // ROWS_TOGETHER)
        bounds = np.searchsorted(keys >> _QUERY + _PLACE, np.arange(parts + 1, dtype=np.uint32))
        for part in range(parts):
            mine = keys[bounds[part] : bounds[part + 1]]
            here = chosen[part * ROWS_TOGETHER : (part + 1) * ROWS_TOGETHER]
            query = (mine >> _PLACE & _QUERIES).astype(np.int32)
            place = (mine & _PLACES).astype(np.int32)
            yield Hits(query, here[place], self._score(gather(vectors, here), query, place))

    def _score(self, narrow: Floats, query: Numbers, place: Numbers) -> Floats:
        """Return the float32 nearest to each product, (m,)."""
        sums = self._sums(self._wide, narrow.astype(np.float64), query, place)
        rounded = sums.astype(np.float32)
        # A sum whose error could change the outcome is made again, without any.
        below, above = sums - self._doubt, sums + self._doubt
        for i in np.flatnonzero(below.astype(np.float32) != above.astype(np.float32)):
            # A product of two float32 is exact in float64.
            rounded[i] = _nearest((self._wide[query[i]] * narrow[place[i]]).tolist())
        return rounded


def _nearest(terms: list[float]) -> np.float32:
    """Return the float32 nearest to the exact sum of float64 numbers."""
    total = math.fsum(terms)
    rest = math.fsum([*terms, -total])
    # Rounding twice may err where the first lands between two float32; an odd float64 never does.
    if rest and not np.float64(total).view(np.int64) & 1:
        total = math.nextafter(total, math.copysign(math.inf, rest))
    return np.float32(total)


def _choose_sums() -> Sums:
    """Return what sums the products of pairs: torch where it can, five times as fast as numpy."""
    try:
        import torch
    except ImportError:
        return _sums_by_numpy
    if not torch.backends.mkl.is_available():
        return _sums_by_numpy
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
    return _sums_by_torch


def _sums_by_numpy(queries: Doubles, rows: Doubles, query: Numbers, place: Numbers) -> Doubles:
    sums = np.empty(len(query), np.float64)
    for start in range(0, len(query), PAIRS_TOGETHER):
        some = slice(start, start + PAIRS_TOGETHER)
        np.einsum("ij,ij->i", queries[query[some]], rows[place[some]], out=sums[some])
    return sums


def _sums_by_torch(queries: Doubles, rows: Doubles, query: Numbers, place: Numbers) -> Doubles:
    """Sum only the products that a sparse pattern names; ``query`` ascends, and in it ``place``."""
    import torch

    starts = np.searchsorted(query, np.arange(len(queries) + 1, dtype=np.int32)).astype(np.int32)
    pattern = torch.sparse_csr_tensor(
        torch.from_numpy(starts),
        torch.from_numpy(place),
        torch.zeros(len(place), dtype=torch.float64),
        (len(queries), len(rows)),
        check_invariants=True,
    )
    left, right = torch.from_numpy(queries), torch.from_numpy(rows)
    sums: Doubles = torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values().numpy()
    return sums
