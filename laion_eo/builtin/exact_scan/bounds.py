"""A bound that discards whole rows before any full product.

The anchors are of one domain: most of their length lies in few directions. With P an orthonormal
basis of those, q.x = Pq.Px + (rest of q).(rest of x) <= [Pq, |rest of q|].[Px, |rest of x|], by
Cauchy and Schwarz. The right side is a product of a tenth of the dimensions, and a row whose bound
stays below every query's threshold is proven to be nobody's neighbour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.exact_scan.products import Device, Floats, make_product
from laion_eo.types import Embeddings

DIRECTIONS = 64
"""Directions that are kept; the bound costs (DIRECTIONS + 1) / dim of the full product."""
WORTH = 0.15
"""Share of rows that the bound must discard to pay for itself."""
SAMPLE = 1024
"""Queries, about, that the directions are found from."""
_SLACK = 4e-4
"""Covers the float32 rounding of the squared lengths and of the projections."""


class RowBound:
    """Upper bounds of the scores of rows with all queries.

    Args:
        queries: float32, (n, dim), rows of length 1.
        device: Where the products are made.
    """

    def __init__(self, queries: Embeddings, device: Device) -> None:
        self._basis = _main_directions(queries[:: max(1, len(queries) // SAMPLE)])
        self._product = make_product(self._shorten(queries), device)

    @staticmethod
    def promising(queries: Embeddings) -> bool:
        """Tell whether the vectors are long enough for the bound to save anything."""
        return queries.shape[1] >= 4 * DIRECTIONS and len(queries) >= DIRECTIONS

    def _shorten(self, vectors: Floats) -> Floats:
        near = vectors @ self._basis
        rest = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", near, near)
        return np.column_stack([near, np.sqrt(np.maximum(rest, 0) + _SLACK)]).astype(np.float32)

    def may_reach(self, block: Floats, thresholds: Floats) -> NDArray[np.bool_]:
        """Return (rows,): False where no query can score the row at its threshold or above.

        Args:
            block: float32, (rows, dim).
            thresholds: float32, (n,).
        """
        scores = self._product.scores(self._shorten(block))
        reached = self._product.may_reach(scores, thresholds)
        some: NDArray[np.bool_] = np.logical_or.reduce(reached, axis=0)
        return some


def _main_directions(queries: Embeddings) -> Floats:
    """Return an orthonormal basis, (dim, DIRECTIONS), of most of the queries' length.

    Three steps of subspace iteration: the bound holds for any basis, a rough one is only less sharp.
    """
    basis = np.random.default_rng(0).standard_normal((queries.shape[1], DIRECTIONS))
    for _ in range(3):
        basis, _ = np.linalg.qr(queries.T @ (queries @ basis.astype(np.float32)))
    return np.ascontiguousarray(basis, dtype=np.float32)
