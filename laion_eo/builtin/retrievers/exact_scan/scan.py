"""Scans pieces of the pool: every query against every row, block by block.

Proven, because a pair is left out only where its cheap score proves that it is below a threshold
(:mod:`~laion_eo.builtin.retrievers.exact_scan.products`), and every threshold that was used is
checked in the end against the k-th score that was found. The thresholds are guesses, which need no
proof: where one turns out to have been too high, its query is scanned again with a threshold that
is proven by then.

Fast, because nearly all pairs are ruled out by one matrix product and one comparison. For that, a
threshold must soon be close to the k-th best score of the piece. So blocks are drawn at random: the
rows seen so far are a fair sample of the piece, and the best scores among them tell about where the
k-th best of all rows is.
"""

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

ROWS_TOGETHER = 1 << 10
"""Rows that are scaled together."""
MAX_KEPT = 1 << 23
"""Neighbours of all queries that are searched together: with these, a scan stays below 2 GB."""
UNIT_TOLERANCE = 2e-2
"""Float16 vectors are off by less than 1e-3; anything beyond this was never normalised."""


@dataclass(frozen=True)
class Limits:
    """How much a scan holds in memory, and how bold its guesses are.

    The neighbours that it finds are the same whatever the limits.

    Attributes:
        block_scores: Cheap scores that are computed together: 16 MB in bfloat16, which caches hold.
        block_rows: Rows that are compared together at most: 24 MB in float32 at 768 dimensions.
        pending: Pairs that may be pending, that is, without an exact score yet; besides 4 k of each
            query.
        safety: Standard deviations by which a guessed threshold stays below the expected one.
        margin_share: Share of the margin by which it stays below, too: cheap scores are rarely off
            by more.
    """

    block_scores: int = 1 << 23
    block_rows: int = 1 << 13
    pending: int = 1 << 22
    safety: float = 5.5
    margin_share: float = 0.25


LIMITS = Limits()


@dataclass
class Counts:
    """What a scan compared, and what it was spared.

    Attributes:
        pairs: Pairs of a query and a row.
        pairs_again: Those that were compared twice, because a guess had been too high.
        pairs_scored: Those that were scored exactly, each time.
    """

    pairs: int = 0
    pairs_again: int = 0
    pairs_scored: int = 0

    def take(self) -> dict[str, int]:
        """Return the counts, and start again from 0."""
        taken = asdict(self)
        self.pairs = self.pairs_again = self.pairs_scored = 0
        return taken

    def add(self, taken: Mapping[str, int]) -> None:
        """Add what another scan's :meth:`take` returned; missing counts are 0."""
        self.pairs += taken.get("pairs", 0)
        self.pairs_again += taken.get("pairs_again", 0)
        self.pairs_scored += taken.get("pairs_scored", 0)

    def facts(self) -> dict[str, float | int]:
        """Return the counts, and the share of pairs that was proven to be outside the top k."""
        compared = max(self.pairs + self.pairs_again, 1)
        return {
            "pairs": self.pairs,
            "pairs_again": self.pairs_again,
            "pairs_pruned_share": round(1 - self.pairs_scored / compared, 6),
        }


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file, in memory.

    Attributes:
        vectors: (rows, dim), of any float.
        first_id: Row index of the first one in the pool.
        source: The file, for messages.
        first_row: Row index of the first one in the file.
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
        device: Where the cheap products are computed.
        counts: Where the work is counted.
        limits: Memory and guesses.

    Attributes:
        peak_pending: The most pairs that were pending at a time.
        peak_kept: The most pairs that were kept with their exact scores between two blocks.
    """

    def __init__(
        self,
        queries: Embeddings,
        k: int,
        device: Device,
        counts: Counts,
        limits: Limits = LIMITS,
    ) -> None:
        self._queries = queries
        self._k = k
        self._counts = counts
        self._device = device
        self._limits = limits
        self._threads = ThreadPoolExecutor(threads(), "scan")
        self._product = make_product(queries, self._threads, device)
        self._exact = ExactScores(queries)
        self.peak_pending = self.peak_kept = 0

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()

    def scan(self, piece: Piece, floor: Floats) -> Neighbors:
        """Return the neighbours of a piece that reach the floor, at most k of each query.

        Args:
            piece: At most :data:`laion_eo.builtin.retrievers.exact_scan.topk.MAX_ROWS` rows.
            floor: float32, (n,): lower scores are of no interest; -inf where all are of interest.

        Raises:
            DataError: A vector is NaN or not of length 1.
        """
        best = Candidates(len(self._queries), self._threads)
        self._counts.pairs += len(piece.vectors) * len(self._queries)
        used = self._pass(piece, floor, best)
        found = best.best(self._k, piece.first_id)
        # Every pair that was left out scores below `used`, the highest threshold of its query. If k
        # pairs were found that reach it, no pair that was left out is among the k best. If not, the
        # guess was too high; but the k-th pair that was found proves a threshold that is not.
        again = np.flatnonzero((used > floor) & (used > found.scores[:, -1]))
        if len(again):
            proven = np.maximum(floor[again], found.scores[again, -1])
            self._repair(piece, again, proven, found)
        return found

    def _repair(self, piece: Piece, again: Integers, proven: Floats, found: Neighbors) -> None:
        """Scan once more for a few queries, with thresholds that are proven."""
        self._counts.pairs_again += len(piece.vectors) * len(again)
        queries = self._queries[again]
        scanner = Scanner(queries, self._k, self._device, self._counts, self._limits)
        try:
            best = Candidates(len(again), self._threads)
            scanner._pass(piece, proven, best, guess=False)
            right = best.best(self._k, piece.first_id)
            found.scores[again], found.ids[again] = right.scores, right.ids
        finally:
            scanner.close()

    def _pass(self, piece: Piece, floor: Floats, best: Candidates, guess: bool = True) -> Floats:
        """Compare every row once; return the highest threshold that was used for each query.

        The blocks are drawn at random (always in the same way), so that what is seen of the piece
        is a fair sample of it, however the pool is sorted.
        """
        queries, total = len(self._queries), len(piece.vectors)
        order = np.random.default_rng(0).permutation(np.arange(total, dtype=np.int32))
        limits = self._limits
        each = min(limits.block_rows, max(1, limits.block_scores // queries))
        blocks = math.ceil(total / each)
        most_pending = 4 * self._k * queries + limits.pending
        threshold, pending = floor, Candidates(queries, self._threads)
        guess_again_at = 2
        for number in range(blocks):
            start, stop = total * number // blocks, total * (number + 1) // blocks
            rows = order[start:stop]
            scores = self._product.scores(self._read(piece, rows))
            rank = self._safe_rank(stop, total) if guess else 0
            if rank and number == 0:
                threshold = self._raised(threshold, self._product.scores_at(scores, rank))
            found = self._product.select(scores, threshold)
            pending.add(found._replace(rows=rows[found.rows]))
            self.peak_pending = max(self.peak_pending, pending.count)
            if number + 1 == guess_again_at:
                # A sample twice as large as at the last guess gives a better one.
                guess_again_at *= 2
                if rank:
                    threshold = self._raised(threshold, pending.scores_at(rank))
            if pending.count > most_pending or number == blocks - 1:
                self._settle(piece, pending, best)
                self.peak_kept = max(self.peak_kept, best.count)
                pending = Candidates(queries, self._threads)
        return threshold

    def _raised(self, threshold: Floats, guessed: Floats) -> Floats:
        """Return the thresholds, raised to what is guessed of the k-th best scores."""
        return np.maximum(threshold, guessed - self._limits.margin_share * self._product.margin)

    def _safe_rank(self, seen: int, rows: int) -> int:
        """Return the rank among the rows seen whose score is a safe guess of the k-th of all rows.

        Of the k best of all rows, k * seen / rows are expected among those seen, which are a random
        sample. Their number has the hypergeometric distribution; a rank some standard deviations
        further down is almost surely no better than the k-th of all rows.

        Returns:
            The rank, 1 for the best; 0 where there is no safe one.
        """
        expected = self._k * seen / max(rows, 1)
        deviation = math.sqrt(expected * (1 - seen / max(rows, 1)))
        rank = max(1, math.ceil(expected + self._limits.safety * deviation + 1))
        if rank < min(seen, self._k):
            return rank
        # The k-th of the rows seen is safe without any luck: k rows are at least as good.
        return self._k if seen >= self._k else 0

    def _settle(self, piece: Piece, pending: Candidates, best: Candidates) -> None:
        """Score exactly the pending pairs that may be among the k best.

        The k best of each query by their cheap scores come first: their exact scores prove that
        most of the others are out.
        """
        likely, others = pending.split(self._k)
        self._score(piece, likely, best)
        left = self._product.within_reach(others, best.scores_at(self._k))
        self._score(piece, others.where(left), best)
        best.keep(self._k)

    def _score(self, piece: Piece, hits: Hits, best: Candidates) -> None:
        for exact in self._exact(piece.vectors, hits):
            best.add(exact)
        self._counts.pairs_scored += len(hits.rows)

    def _read(self, piece: Piece, rows: Numbers) -> Floats:
        """Return some rows in float32, after checking their lengths."""
        block = gather(piece.vectors, rows)
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        bad = np.flatnonzero(~(np.abs(lengths - 1.0) <= UNIT_TOLERANCE))  # NaN is bad, too
        if len(bad):
            first = bad[rows[bad].argmin()]
            scaling = "set normalize = true, or " if 0 < lengths[first] < np.inf else ""
            raise DataError(
                f"{piece.source}: the vector of row {piece.first_row + rows[first]} has length "
                f"{lengths[first]:.4g}, not 1; {scaling}repair the pool."
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


def unit_rows(vectors: NDArray[np.floating], source: str) -> Embeddings:
    """Return vectors scaled to length 1, in float32.

    Args:
        vectors: (m, dim), of any float.
        source: Where they are from, for the message.

    Raises:
        DataError: One has no length: it is 0, or not finite.
    """
    scaled = unit(Piece(vectors, 0, source, 0)).vectors
    if not np.isfinite(scaled).all():
        raise DataError(f"{source}: vectors that are 0 or not finite; repair the pool.")
    return scaled.astype(np.float32, copy=False)


def batches(queries: int, k: int, kept: int = MAX_KEPT) -> list[slice]:
    """Return slices of queries that are searched together, each in a pass over the pool.

    Args:
        queries: Number of queries.
        k: Neighbours wanted of each.
        kept: Neighbours that all queries of a slice may have together.
    """
    together = min(MAX_QUERIES, max(1, kept // k))
    return [slice(first, first + together) for first in range(0, queries, together)]


def threads() -> int:
    """Return how many threads a scan may use: ``OMP_NUM_THREADS``, or all cores."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdigit() and int(limit):
        return int(limit)
    # Not every system tells a process which cores it may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
