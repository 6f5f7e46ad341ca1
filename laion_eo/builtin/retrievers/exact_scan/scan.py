"""Scans pieces of the pool: every query, every row, block by block."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.products import Device, Floats, make_product
from laion_eo.builtin.retrievers.exact_scan.scoring import ExactScores, gather
from laion_eo.builtin.retrievers.exact_scan.topk import (
    MAX_QUERIES,
    Candidates,
    Hits,
    Integers,
    Numbers,
)
from laion_eo.errors import DataError
from laion_eo.types import Embeddings, Neighbors

BLOCK_SCORES = 1 << 23
"""Scores that are looked at together: 16 MB in bfloat16, which caches hold."""
BLOCK_ROWS = 1 << 13
"""Rows that are looked at together at most: 24 MB in float32 at 768 dimensions."""
ROWS_TOGETHER = 1 << 10
"""Rows that are scaled together."""
MAX_WAITING = 1 << 22
"""Pairs that may wait for their exact scores, beside 4 k of each query."""
MAX_KEPT = 1 << 23
"""Neighbours of all queries that are searched together: with these, a scan stays below 2 GB."""
UNIT_TOLERANCE = 2e-2
"""Float16 vectors are off by less than 1e-3; anything past this was never normalised."""
SAFETY = 5.5
"""Standard deviations by which a guessed threshold stays below the expected one."""
GUESSED = 0.25
"""Share of the margin by which it stays below too: cheap scores are rarely off by more, and a guess
needs no proof, as it is checked."""


@dataclass
class Counts:
    """What a scan saw and what it was spared.

    Attributes:
        pairs: Of a query and a row.
        pairs_again: Those that were looked at twice, as a guess had been too high.
        pairs_scored: Those that were scored exactly, each time.
    """

    pairs: int = 0
    pairs_again: int = 0
    pairs_scored: int = 0

    def take(self) -> dict[str, int]:
        """Return the counts, and begin anew."""
        taken = asdict(self)
        self.pairs = self.pairs_again = self.pairs_scored = 0
        return taken

    def add(self, taken: Mapping[str, int]) -> None:
        """Add what another scan took; nothing, where there was none."""
        self.pairs += taken.get("pairs", 0)
        self.pairs_again += taken.get("pairs_again", 0)
        self.pairs_scored += taken.get("pairs_scored", 0)

    def facts(self) -> dict[str, float | int]:
        """Return the counts, and the share of pairs that was proven to be outside the top k."""
        looks = max(self.pairs + self.pairs_again, 1)
        return {
            "pairs": self.pairs,
            "pairs_again": self.pairs_again,
            "pairs_pruned_share": round(1 - self.pairs_scored / looks, 6),
        }


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file, in memory.

    Attributes:
        vectors: (rows, dim), of any float.
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
        self._threads = ThreadPoolExecutor(threads(), "scan")
        self._product = make_product(queries, self._threads, device)
        self._exact = ExactScores(queries)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()

    def scan(self, piece: Piece, floor: Floats) -> Neighbors:
        """Return the neighbours of a piece that reach the floor, at most k of each query.

        Thresholds are guessed from the part of the piece seen so far, so that few pairs are looked
        at twice. Whether each guess was safe shows at the end, and queries for which it was not are
        looked at again with what is proven by then.

        Args:
            piece: At most :data:`laion_eo.builtin.retrievers.exact_scan.topk.MAX_ROWS` rows.
            floor: float32, (n,): scores below it are of no interest; -inf where all are.

        Raises:
            DataError: A vector is NaN or not of length 1.
        """
        best = Candidates(len(self._queries), self._threads)
        self._counts.pairs += len(piece.vectors) * len(self._queries)
        used = self._pass(piece, floor, best)
        found = best.best(self._k, piece.first_id)
        # Every pair that was left out scores below `used`.
        again = np.flatnonzero((used > floor) & (used > found.scores[:, -1]))
        if len(again):
            proven = np.maximum(floor[again], found.scores[again, -1])
            self._repair(piece, again, proven, found)
        return found

    def _repair(self, piece: Piece, again: Integers, proven: Floats, found: Neighbors) -> None:
        """Scan once more for a few queries, with thresholds that are proven."""
        self._counts.pairs_again += len(piece.vectors) * len(again)
        scanner = Scanner(self._queries[again], self._k, self._device, self._counts)
        try:
            best = Candidates(len(again), self._threads)
            scanner._pass(piece, proven, best, guess=False)
            right = best.best(self._k, piece.first_id)
            found.scores[again], found.ids[again] = right.scores, right.ids
        finally:
            scanner.close()

    def _pass(self, piece: Piece, floor: Floats, best: Candidates, guess: bool = True) -> Floats:
        """Look at every row once; return the highest threshold that was used for each query.

        The blocks are drawn at random (and always alike), so that what is seen of the piece is a
        fair sample of it, however the pool is sorted.
        """
        queries, total = len(self._queries), len(piece.vectors)
        order = np.random.default_rng(0).permutation(np.arange(total, dtype=np.int32))
        each = min(BLOCK_ROWS, max(1, BLOCK_SCORES // queries))
        blocks = math.ceil(total / each)
        limit = 4 * self._k * queries + MAX_WAITING
        threshold, waiting = floor, Candidates(queries, self._threads)
        for number in range(blocks):
            start, stop = total * number // blocks, total * (number + 1) // blocks
            places = order[start:stop]
            scores = self._product.scores(self._read(piece, places))
            place = self._place(stop, total) if guess else 0
            if place and number == 0:
                guessed = self._product.ranked(scores, place) - GUESSED * self._product.margin
                threshold = np.maximum(threshold, guessed)
            found = self._product.reaching(scores, threshold)
            waiting.add(found._replace(rows=places[found.rows]))
            if place and (number + 1) & number == 0:
                # At 2, 4, 8, ... blocks the sample has doubled: guess again.
                guessed = waiting.rank(place) - GUESSED * self._product.margin
                threshold = np.maximum(threshold, guessed)
            if waiting.count > limit or number == blocks - 1:
                self._settle(piece, waiting, best)
                waiting = Candidates(queries, self._threads)
        return threshold

    def _place(self, seen: int, rows: int) -> int:
        """Return which of the best so far is a safe guess of the k-th of all; 0 if none is.

        Of the k best of all rows, k * seen / rows are expected among those seen.
        """
        expected = self._k * seen / max(rows, 1)
        place = math.ceil(expected + SAFETY * math.sqrt(expected * (1 - seen / max(rows, 1))) + 1)
        return place if place < min(seen, self._k) else min(self._k, seen) * (seen >= self._k)

    def _settle(self, piece: Piece, waiting: Candidates, best: Candidates) -> None:
        """Score exactly what may be among the k best of those that wait.

        First the k best of each query by their cheap scores; these prove most others to be out.
        """
        likely, others = waiting.split(self._k)
        self._score(piece, likely, best)
        left = self._product.reaches(others, best.rank(self._k))
        self._score(piece, others.where(left), best)
        best.keep(self._k)

    def _score(self, piece: Piece, hits: Hits, best: Candidates) -> None:
        for exact in self._exact(piece.vectors, hits):
            best.add(exact)
        self._counts.pairs_scored += len(hits.rows)

    def _read(self, piece: Piece, places: Numbers) -> Floats:
        """Return some rows in float32, checked."""
        block = gather(piece.vectors, places)
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        bad = np.flatnonzero(~(np.abs(lengths - 1.0) <= UNIT_TOLERANCE))  # NaN is bad too
        if len(bad):
            first = bad[places[bad].argmin()]
            scaling = "set normalize = true, or " if 0 < lengths[first] < np.inf else ""
            raise DataError(
                f"{piece.source}: the vector of row {piece.first_row + places[first]} has length "
                f"{lengths[first]:.4g}, not 1; {scaling}mend the pool."
            )
        return block


def unit(piece: Piece) -> Piece:
    """Return the piece with every vector scaled to length 1, in float32; NaN stays NaN."""
    scaled = np.empty_like(piece.vectors, np.float32)
    for start in range(0, len(scaled), ROWS_TOGETHER):
        stop = start + ROWS_TOGETHER
        wide = piece.vectors[start:stop].astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled[start:stop] = wide / lengths
    return replace(piece, vectors=scaled)


def batches(queries: int, k: int) -> list[slice]:
    """Return slices of queries that are searched together, each in a pass over the pool."""
    together = min(MAX_QUERIES, max(1, MAX_KEPT // k))
    return [slice(first, first + together) for first in range(0, queries, together)]


def threads() -> int:
    """Return how many threads a scan may use: ``OMP_NUM_THREADS``, or all cores."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdigit() and int(limit):
        return int(limit)
    # Not everywhere may a process ask which cores it has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
