"""Cheap products with a proven error: which pairs cannot reach a threshold.

Comparing every query with every row exactly would be slow. A cheap product a(q, x), made in
bfloat16 or float32, differs from the exact q·x by at most a margin m(q). So a pair with
a(q, x) < t - m(q) is proven to score below t, whatever its exact score is, and needs none. Only the
other pairs are scored exactly (:mod:`~laion_eo.builtin.retrievers.exact_scan.scoring`).

The margin of bfloat16. Let q' and x' be the vectors rounded to bfloat16. Then

    q·x - q'·x'  =  (q - q')·x  +  q'·(x - x'),

and by Cauchy and Schwarz each term is at most the product of two lengths: what q lost in rounding
times the length of x, and the length of q' times what x lost. The losses are computed, not
estimated, and no vector is longer than :data:`MAX_LENGTH`. The sum of dim products in float32 adds
at most dim · 2^-24 · |q'| · |x'|, up to small change.

The margin of float32. Products and sums in float32 are off by at most about dim · 2^-24 · |q| · |x|
together, in whatever order they are added, with or without fused multiply-add.

Fast, because a processor with bfloat16 instructions multiplies twice as many numbers a second, and
because the product of a block of rows with all queries is one matrix product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.topk import Hits, joined
from laion_eo.types import Embeddings

Device = Literal["auto", "cpu", "cuda"]
Floats = NDArray[np.float32]

MAX_LENGTH = 1.03
"""Length of the longest vector that a margin covers; the scan refuses longer ones."""
FLOAT32 = 2.0**-24
"""Relative error of rounding to float32."""
SLACK = 1e-6
"""Added to every margin, for the rounding of the margins themselves."""
QUERIES_TOGETHER = 128
"""Queries whose scores a thread compares at a time: as many as a core's cache holds."""


class Product(ABC):
    """Cheap scores of all queries with a block of rows, and what they prove.

    Args:
        threads: Executor of the comparisons.

    Attributes:
        margin: float32, (n,): how far the cheap score of any row so far can be from the exact one.
    """

    margin: Floats

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._mask = np.empty(0, np.bool_)

    @abstractmethod
    def scores(self, block: Floats) -> Any:
        """Return the cheap scores, (n, rows), in the form that the other methods take.

        They are valid until the next call.

        Args:
            block: float32, (rows, dim), rows of length at most :data:`MAX_LENGTH`.
        """

    @abstractmethod
    def select(self, scores: Any, thresholds: Floats) -> Hits:
        """Return all pairs but those proven to score below their query's threshold, (n,)."""

    @abstractmethod
    def within_reach(self, hits: Hits, thresholds: Floats) -> NDArray[np.bool_]:
        """Return which pairs are not proven to score below their query's threshold, (m,).

        Args:
            hits: Pairs that :meth:`select` returned, with their cheap scores.
            thresholds: float32, (n,).
        """

    @abstractmethod
    def scores_at(self, scores: Any, rank: int) -> Floats:
        """Return each query's cheap score at a rank, (n,); 1 is the best."""

    def _compare(self, values: NDArray[Any], floors: NDArray[Any]) -> Hits:
        """Return the pairs whose values, (n, rows), are not below their query's floor, (n,)."""
        if self._mask.size < values.size:
            self._mask = np.empty(values.size, np.bool_)
        mask = self._mask[: values.size].reshape(values.shape)
        columns = np.int32(max(1, values.shape[1]))

        def compare(start: int) -> Hits:
            part = values[start : start + QUERIES_TOGETHER]
            floor = floors[start : start + QUERIES_TOGETHER, None]
            reached = mask[start : start + QUERIES_TOGETHER]
            # The few true cells of a flat mask are found faster than those of a table.
            flat = np.flatnonzero(np.greater_equal(part, floor, out=reached))
            query, row = np.divmod(flat.astype(np.int32), columns)
            return Hits(query + np.int32(start), row, part.reshape(-1)[flat])

        return joined(self._threads.map(compare, range(0, len(values), QUERIES_TOGETHER)))


class Float32Product(Product):
    """Float32 products by numpy; half as fast as bfloat16 where the processor supports that."""

    def __init__(self, queries: Embeddings, threads: Executor) -> None:
        super().__init__(threads)
        self._queries = queries
        # Twice the bound, which holds to first order only.
        worst = 2 * queries.shape[1] * FLOAT32 * MAX_LENGTH**2
        self.margin = np.full(len(queries), worst + SLACK, np.float32)

    def scores(self, block: Floats) -> Floats:
        """Return float32 scores, (n, rows)."""
        return self._queries @ block.T

    def select(self, scores: Floats, thresholds: Floats) -> Hits:
        """Return all pairs but those proven to be below."""
        return self._compare(scores, thresholds - self.margin)

    def within_reach(self, hits: Hits, thresholds: Floats) -> NDArray[np.bool_]:
        """Return which pairs are not proven to be below."""
        reached: NDArray[np.bool_] = hits.scores >= (thresholds - self.margin)[hits.queries]
        return reached

    def scores_at(self, scores: Floats, rank: int) -> Floats:
        """Return each query's cheap score at a rank."""
        return -np.partition(-scores, rank - 1, axis=1)[:, rank - 1]


class BFloat16Product(Product):
    """Bfloat16 products with float32 sums by torch, on the CPU or a CUDA device.

    The scores are sums rounded to bfloat16, which needs no margin of its own. Rounding is monotone:
    a sum that is not below t - m is not below it either after both are rounded, and thresholds are
    rounded likewise.
    """

    def __init__(self, queries: Embeddings, threads: Executor, device: str) -> None:
        import torch

        super().__init__(threads)
        self._device = torch.device(device)
        exact = torch.from_numpy(np.require(queries, requirements=["C", "W"])).to(self._device)
        self._queries, lost = _to_bfloat16(exact)
        # A tensor core may truncate where IEEE rounds, hence 4 times the bound, and not once.
        sums = MAX_LENGTH**2 * 4 * queries.shape[1] * FLOAT32
        self._of_queries = lost.cpu().numpy() * MAX_LENGTH + sums + SLACK
        self._of_rows = 0.0
        self.margin = self._of_queries.astype(np.float32)
        self._buffer = torch.empty(0, dtype=torch.bfloat16, device=self._device)

    def scores(self, block: Floats) -> Any:
        """Return bfloat16 scores, (n, rows), on the device.

        The margin grows where a row of this block lost more than all before it.
        """
        import torch

        rows, lost = _to_bfloat16(torch.from_numpy(block).to(self._device))
        worst = float(lost.max()) * MAX_LENGTH if len(block) else 0.0
        if worst > self._of_rows:
            self._of_rows = worst
            self.margin = (self._of_queries + worst).astype(np.float32)
        # One buffer for all blocks: fresh memory would cost as much time as the comparisons.
        size = len(self._queries) * len(rows)
        if len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=torch.bfloat16, device=self._device)
        out = self._buffer[:size].view(len(self._queries), len(rows))
        with _float32_sums():
            return torch.mm(self._queries, rows.T, out=out)

    def select(self, scores: Any, thresholds: Floats) -> Hits:
        """Return all pairs but those proven to be below."""
        import torch

        floors = torch.from_numpy(thresholds - self.margin).to(torch.bfloat16)
        if self._device.type == "cpu" and bool((floors > 0).all()):
            # The bits of positive floats, read as integers, order as the floats do, and numpy
            # compares 16-bit integers ten times faster than torch compares bfloat16. A negative
            # score has its highest bit set: a negative integer, and so below a positive floor.
            bits = self._compare(scores.view(torch.int16).numpy(), floors.view(torch.int16).numpy())
            return bits._replace(scores=_from_bfloat16_bits(bits.scores))
        mask = scores >= floors.to(self._device)[:, None]
        query, row = mask.nonzero(as_tuple=True)
        parts = query.int(), row.int(), scores[mask].float()
        return Hits(*(part.cpu().numpy() for part in parts))

    def within_reach(self, hits: Hits, thresholds: Floats) -> NDArray[np.bool_]:
        """Return which pairs are not proven to be below."""
        import torch

        floors = torch.from_numpy(thresholds - self.margin).to(torch.bfloat16).float().numpy()
        reached: NDArray[np.bool_] = hits.scores >= floors[hits.queries]
        return reached

    def scores_at(self, scores: Any, rank: int) -> Floats:
        """Return each query's cheap score at a rank."""
        best = scores.float().topk(rank, dim=1, sorted=True).values[:, -1]
        found: Floats = best.cpu().numpy()
        return found


def _to_bfloat16(exact: Any) -> tuple[Any, Any]:
    """Return float32 vectors, (m, dim), in bfloat16, and the length of what each lost, (m,)."""
    import torch

    low = exact.to(torch.bfloat16)
    lost = low.float().sub_(exact)
    return low, torch.linalg.vector_norm(lost, dim=1)


def _from_bfloat16_bits(bits: NDArray[Any]) -> Floats:
    """Return the numbers whose bfloat16 bits, int16, these are: the upper half of a float32's."""
    wide: Floats = (bits.astype(np.int32) << 16).view(np.float32)
    return wide


@contextmanager
def _float32_sums() -> Iterator[None]:
    """Keep CUDA from adding partial sums in bfloat16, which the margin does not cover."""
    import torch

    matmul = torch.backends.cuda.matmul
    before = matmul.allow_bf16_reduced_precision_reduction
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        matmul.allow_bf16_reduced_precision_reduction = before


def make_product(
    queries: Embeddings, threads: Executor, device: Device, fast_bfloat16: bool | None = None
) -> Product:
    """Return the fastest product that is available: by torch where it is installed, else by numpy.

    Args:
        queries: float32, (n, dim).
        threads: Executor of the comparisons.
        device: ``auto``: CUDA if there is a device.
        fast_bfloat16: Whether the processor has instructions for bfloat16; asked of the system by
            default.

    Raises:
        RuntimeError: torch says that there is no CUDA device, and one was asked for.
    """
    try:
        import torch
    except ImportError:
        return Float32Product(queries, threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if fast_bfloat16 is None:
        fast_bfloat16 = has_bfloat16()
    # Without the instructions, torch emulates bfloat16, and is slower than float32.
    if device == "cpu" and not fast_bfloat16:
        return Float32Product(queries, threads)
    return BFloat16Product(queries, threads, device)


def has_bfloat16() -> bool:
    """Return whether this processor has instructions for bfloat16, as far as Linux says."""
    about = Path("/proc/cpuinfo")
    flags = about.read_text().split() if about.is_file() else []
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))
