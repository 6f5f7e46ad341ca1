"""Scans pieces of the pool: every query, every row, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.exact_scan.products import Device, ExactScores, Floats, make_product
from laion_eo.builtin.topk import MAX_QUERIES, TopK
from laion_eo.errors import DataError
from laion_eo.types import Embeddings, Neighbors

BLOCK_SCORES = 1 << 26
"""Scores that are looked at together: 128 MB in bfloat16."""
BLOCK_ROWS = 1 << 15
"""Rows that are looked at together at most: 96 MB in float32 at 768 dimensions."""
UNIT_TOLERANCE = 2e-2
"""Float16 vectors are off by less than 1e-3; anything past this was never normalised."""
SAFETY = 5.5
"""Standard deviations by which a guessed threshold stays below the expected one."""


@dataclass
class Counts:
    """What a scan saw and what it was spared."""

    rows: int = 0
    pairs: int = 0
    pairs_scored: int = 0

    def facts(self) -> dict[str, float | int]:
        """Return the counts, and the share of pairs that was proven to be outside the top k."""
        return {
            "rows": self.rows,
            "pairs": self.pairs,
            "pairs_pruned_share": round(1 - self.pairs_scored / max(self.pairs, 1), 6),
        }


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file, in memory.

    Attributes:
        vectors: (rows, dim), float16 or float32.
        first_id: Row number of the first in the pool.
        source: The file, for messages.
        first_row: Row number of the first in the file.
    """

    vectors: NDArray[np.floating]
    first_id: int
    source: str
    first_row: int


class Scanner:
    """The top k of some queries over any number of pieces.

    Args:
        queries: float32, (n, dim), rows of length 1; at most :data:`MAX_QUERIES` rows.
        k: Neighbours wanted.
        device: Where the cheap products are made.
        counts: Where the work is counted.
    """

    def __init__(self, queries: Embeddings, k: int, device: Device, counts: Counts) -> None:
        self._queries = queries
        self._k = k
        self._counts = counts
        self._device = device
        self._product = make_product(queries, device)
        self._exact = ExactScores(queries)

    def close(self) -> None:
        """Stop the threads."""
        self._exact.close()

    def scan(self, piece: Piece, floor: Floats) -> Neighbors:
        """Return the neighbours of a piece that reach the floor, at most k of each query.

        Thresholds are guessed from the part of the piece seen so far, so that few pairs are scored
        exactly. Whether each guess was safe shows at the end, and queries for which it was not are
        looked at again with what is proven by then.

        Args:
            piece: At most :data:`laion_eo.builtin.topk.MAX_ROWS` rows.
            floor: float32, (n,): scores below it are of no interest; -inf where all are.

        Raises:
            DataError: A vector is NaN or not of length 1.
        """
        best = TopK(len(self._queries), self._k)
        used = self._pass(piece, floor, best)
        found = best.result(piece.first_id)
        # Every pair that was left out scores below `used`.
        again = np.flatnonzero((used > floor) & (used > found.scores[:, -1]))
        if len(again):
            proven = np.maximum(floor[again], found.scores[again, -1])
            self._repair(piece, again, proven, found)
        return found

    def _repair(
        self, piece: Piece, again: NDArray[np.int64], proven: Floats, found: Neighbors
    ) -> None:
        """Scan once more for a few queries, with thresholds that are proven."""
        scanner = Scanner(self._queries[again], self._k, self._device, self._counts)
        try:
            best = TopK(len(again), self._k)
            scanner._pass(piece, proven, best, guess=False)
            right = best.result(piece.first_id)
            found.scores[again], found.ids[again] = right.scores, right.ids
        finally:
            scanner.close()

    def _pass(self, piece: Piece, floor: Floats, best: TopK, guess: bool = True) -> Floats:
        """Look at every row once; return the highest threshold that was used for each query.

        The blocks are drawn at random (and always alike), so that what is seen of the piece is a
        fair sample of it, however the pool is sorted.
        """
        rows = len(piece.vectors)
        each = min(BLOCK_ROWS, max(1, BLOCK_SCORES // max(1, len(self._queries))))
        blocks = max(1, math.ceil(rows / each))
        order = np.random.default_rng(0).permutation(rows)
        threshold = floor
        for number, drawn in enumerate(np.array_split(order, blocks)):
            places = np.sort(drawn)
            block = self._read(piece, places)
            scores = self._product.scores(block)
            if guess and number == 0 and (place := self._place(len(block), rows)):
                guessed = self._product.ranked(scores, place) - self._product.margin
                threshold = np.maximum(threshold, guessed)
            self._add(block, places, scores, threshold, best)
            # At 2, 4, 8, ... blocks the sample has doubled: guess again, from exact scores.
            doubled = (number + 1) & number == 0
            seen = rows * (number + 1) // blocks
            if guess and doubled and (place := self._place(seen, rows)):
                threshold = np.maximum(threshold, best.rank(place))
        return threshold

    def _place(self, seen: int, rows: int) -> int:
        """Return which of the best so far is a safe guess of the k-th of all; 0 if none is.

        Of the k best of all rows, k * seen / rows are expected among those seen.
        """
        expected = self._k * seen / rows
        place = math.ceil(expected + SAFETY * math.sqrt(expected * (1 - seen / rows)) + 1)
        return place if place < min(seen, self._k) else min(self._k, seen) * (seen >= self._k)

    def _add(
        self,
        block: Floats,
        places: NDArray[np.int64],
        scores: object,
        threshold: Floats,
        best: TopK,
    ) -> None:
        flat = np.flatnonzero(self._product.may_reach(scores, threshold))
        query, row = np.divmod(flat, max(1, len(block)))
        exact = self._exact(block, (query, row))
        good = exact >= threshold[query]
        best.add(query[good], places[row[good]], exact[good])
        self._counts.pairs_scored += len(flat)

    def _read(self, piece: Piece, places: NDArray[np.int64]) -> Floats:
        """Return some rows as float32, checked."""
        block: Floats = piece.vectors[places].astype(np.float32, copy=False)
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        good = np.abs(lengths - 1.0) <= UNIT_TOLERANCE  # False for NaN too
        if not good.all():
            place = int(np.argmin(good))
            row = piece.first_row + int(places[place])
            raise DataError(
                f"{piece.source}: the vector of row {row} has length {lengths[place]:.4g}, not 1; "
                "set normalize = true, or mend the pool."
            )
        self._counts.rows += len(block)
        self._counts.pairs += len(block) * len(self._queries)
        return block


def unit(piece: Piece) -> Piece:
    """Return the piece with every vector scaled to length 1, in float32; NaN stays NaN."""
    wide = piece.vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return replace(piece, vectors=(wide / lengths).astype(np.float32))


def batches(queries: int) -> list[slice]:
    """Return slices of at most :data:`MAX_QUERIES` queries; one, maybe empty, at least."""
    starts = range(0, max(queries, 1), MAX_QUERIES)
    return [slice(start, min(start + MAX_QUERIES, queries)) for start in starts]
