"""Cheap products with a proven error, and exact scores for the pairs that survive them.

The score of a query q and a row x is *the float32 nearest to their exact dot product*. It depends
on nothing else: not on the size of blocks, the engine, the device or the number of threads.

A cheap product a(q, x) in bfloat16 or float32 differs from q.x by at most a margin m(q), so that a
pair with a(q, x) < t - m(q) is proven to score below t. What is left is summed in float64, and the
few sums too close to a rounding boundary of float32 are summed without any error.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from laion_eo.types import Embeddings

Device = Literal["auto", "cpu", "cuda"]
Floats = NDArray[np.float32]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

MAX_LENGTH = 1.03
"""Longest row that a margin covers; the scan refuses longer ones."""
BFLOAT16 = 2.0**-9
"""Relative error of rounding to bfloat16 (8 bits of significand)."""
FLOAT32 = 2.0**-24
DENSE = 0.2
"""Share of survivors in a block above which one whole float64 product is cheaper than gathering."""


def threads() -> int:
    """Return how many threads this process may use: ``OMP_NUM_THREADS``, or all its cores."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else len(os.sched_getaffinity(0))


class Product(ABC):
    """Cheap scores of all queries with a block of rows, and what they prove.

    Args:
        queries: float32, (n, dim), rows of length at most :data:`MAX_LENGTH`.
    """

    margin: Floats
    """(n,): how far a cheap score may lie below the true one."""

    def __init__(self, queries: Embeddings) -> None:
        self.dim = queries.shape[1]

    @abstractmethod
    def scores(self, block: Floats) -> Any:
        """Return the cheap scores, (n, rows), in the form that the other methods take.

        They are valid until the next call.

        Args:
            block: float32, (rows, dim), rows of length at most :data:`MAX_LENGTH`.
        """

    @abstractmethod
    def may_reach(self, scores: Any, thresholds: Floats) -> NDArray[np.bool_]:
        """Return (n, rows): False where a pair is proven to score below its query's threshold."""

    @abstractmethod
    def ranked(self, scores: Any, place: int) -> Floats:
        """Return each query's cheap score at a place (1 is the best); a guess, nothing proven."""


class Float32Product(Product):
    """numpy alone: float32 products, half as fast as bfloat16 where the processor has that."""

    def __init__(self, queries: Embeddings) -> None:
        super().__init__(queries)
        self._queries = queries
        worst = 2 * queries.shape[1] * FLOAT32 * MAX_LENGTH**2
        self.margin = np.full(len(queries), worst + 1e-6, np.float32)

    def scores(self, block: Floats) -> Floats:
        """Return float32 scores, (n, rows)."""
        return self._queries @ block.T

    def may_reach(self, scores: Floats, thresholds: Floats) -> NDArray[np.bool_]:
        """Return (n, rows)."""
        return scores >= (thresholds - self.margin)[:, None]

    def ranked(self, scores: Floats, place: int) -> Floats:
        """Return each query's cheap score at a place."""
        return -np.partition(-scores, place - 1, axis=1)[:, place - 1]


class BFloat16Product(Product):
    """torch: bfloat16 products with float32 sums, on the CPU or a CUDA device."""

    def __init__(self, queries: Embeddings, device: str) -> None:
        import torch

        super().__init__(queries)
        self._device = torch.device(device)
        whole = torch.from_numpy(np.require(queries, requirements=["C", "W"]))
        self._queries = whole.to(self._device, torch.bfloat16)
        # What rounding the queries costs is measured; for the rows the worst case is assumed. The
        # sums: a tensor core may truncate where IEEE rounds, hence 4 and not 1.
        lost = torch.linalg.vector_norm(whole - self._queries.cpu().float(), dim=1).numpy()
        rows = MAX_LENGTH**2 * (1 + BFLOAT16) * (BFLOAT16 + 4 * queries.shape[1] * FLOAT32)
        self.margin = (lost * MAX_LENGTH + rows + 1e-6).astype(np.float32)
        self._buffer = torch.empty(0, dtype=torch.bfloat16, device=self._device)

    def scores(self, block: Floats) -> Any:
        """Return bfloat16 scores, (n, rows), on the device.

        Rounding is monotone, so the rounding of the sums to bfloat16 needs no margin of its own:
        thresholds are rounded likewise.
        """
        import torch

        rows = torch.from_numpy(block).to(self._device, non_blocking=True).to(torch.bfloat16)
        size = len(self._queries) * len(rows)
        if len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=torch.bfloat16, device=self._device)
        out = self._buffer[:size].view(len(self._queries), len(rows))
        with _whole_sums():
            return torch.mm(self._queries, rows.T, out=out)

    def may_reach(self, scores: Any, thresholds: Floats) -> NDArray[np.bool_]:
        """Return (n, rows)."""
        import torch

        floor = torch.from_numpy(thresholds - self.margin).to(torch.bfloat16)
        if self._device.type == "cpu" and bool((floor > 0).all()):
            # Positive floats order as their bits do, and numpy compares 16-bit integers ten times
            # faster than torch does bfloat16. Negative scores are negative integers: below.
            reached: NDArray[np.bool_] = np.greater_equal(
                scores.view(torch.int16).numpy(), floor.view(torch.int16).numpy()[:, None]
            )
            return reached
        mask: NDArray[np.bool_] = (scores >= floor.to(self._device)[:, None]).cpu().numpy()
        return mask

    def ranked(self, scores: Any, place: int) -> Floats:
        """Return each query's cheap score at a place."""
        best = scores.float().topk(place, dim=1, sorted=True).values[:, -1]
        ranked: Floats = best.cpu().numpy()
        return ranked


@contextmanager
def _whole_sums() -> Iterator[None]:
    """Keep CUDA from adding partial sums in bfloat16, which the margin does not cover."""
    import torch

    matmul = torch.backends.cuda.matmul
    before = matmul.allow_bf16_reduced_precision_reduction
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        matmul.allow_bf16_reduced_precision_reduction = before


def make_product(queries: Embeddings, device: Device) -> Product:
    """Return the fastest product that can be had: torch where it is installed, else numpy.

    Args:
        queries: float32, (n, dim).
        device: ``auto``: CUDA if there is a device.

    Raises:
        RuntimeError: torch says that there is no CUDA device, and one was asked for.
    """
    try:
        import torch
    except ImportError:
        return Float32Product(queries)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not _multiplies_bfloat16():
        return Float32Product(queries)
    return BFloat16Product(queries, device)


def _multiplies_bfloat16() -> bool:
    """Tell whether this processor has instructions for it; emulation is slower than float32."""
    about = Path("/proc/cpuinfo")
    flags = about.read_text().split() if about.is_file() else []
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))


class ExactScores:
    """Correctly rounded scores of chosen pairs, gathered and summed by all threads.

    Args:
        queries: float32, (n, dim).
    """

    def __init__(self, queries: Embeddings) -> None:
        self._queries = queries
        self._wide = queries.astype(np.float64)
        self._pool = ThreadPoolExecutor(threads(), "exact-scores")
        self._doubt = queries.shape[1] * 2.0**-52 * MAX_LENGTH**2

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    def __call__(self, block: Floats, pairs: Pairs) -> Floats:
        """Return float32 scores, (m,).

        Args:
            block: float32, (rows, dim).
            pairs: Indices of queries, ascending, and of rows: int64, (m,) each.
        """
        sums = np.empty(len(pairs[0]), np.float64)
        if len(sums) > DENSE * len(self._wide) * len(block):
            sums[:] = (self._wide @ block.T.astype(np.float64))[pairs]
        else:
            queries, starts = np.unique(pairs[0], return_index=True)
            bounds = [*starts.tolist(), len(sums)]
            runs = [
                (query, *ends)
                for query, ends in zip(queries.tolist(), pairwise(bounds), strict=True)
            ]
            every = 4 * threads()
            jobs = [runs[i::every] for i in range(every)]
            list(self._pool.map(lambda job: self._gather(block, pairs[1], sums, job), jobs))
        return self._round(block, pairs, sums)

    def _gather(
        self,
        block: Floats,
        rows: NDArray[np.int64],
        sums: NDArray[np.float64],
        runs: Sequence[tuple[int, int, int]],
    ) -> None:
        for query, start, stop in runs:
            wide = block.take(rows[start:stop], axis=0).astype(np.float64)
            np.dot(wide, self._wide[query], out=sums[start:stop])

    def _round(self, block: Floats, pairs: Pairs, sums: NDArray[np.float64]) -> Floats:
        """Round to float32; a sum whose error could change the outcome is made again, exactly."""
        rounded = sums.astype(np.float32)
        below, above = sums - self._doubt, sums + self._doubt
        for i in np.flatnonzero(below.astype(np.float32) != above.astype(np.float32)):
            # A product of two float32 is exact in float64, and fsum adds without error.
            left = self._queries[pairs[0][i]].astype(np.float64)
            rounded[i] = np.float32(math.fsum(left * block[pairs[1][i]].astype(np.float64)))
        return rounded
