"""Cheap products with a proven error.

A cheap product a(q, x) in bfloat16 or float32 differs from q.x by at most a margin m(q), so that a
pair with a(q, x) < t - m(q) is proven to score below t (Cauchy and Schwarz: q.x - q'.x' is
(q - q').x + q'.(x - x'), with q' and x' the rounded vectors).
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
"""Longest row that a margin covers; the scan refuses longer ones."""
FLOAT32 = 2.0**-24
"""Relative error of rounding to float32."""
SLACK = 1e-6
"""Added to every margin, for the rounding of the margins themselves."""
QUERIES_TOGETHER = 128
"""Queries whose scores one thread looks at in one go: what stays in a core's cache."""


class Product(ABC):
    """Cheap scores of all queries with a block of rows, and what they prove.

    Args:
        threads: Who looks at the scores.
    """

    margin: Floats
    """(n,): how far the cheap score of a row seen so far may lie from the true one."""

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
    def reaching(self, scores: Any, thresholds: Floats) -> Hits:
        """Return all pairs but those that are proven to score below their query's threshold."""

    @abstractmethod
    def reaches(self, hits: Hits, thresholds: Floats) -> NDArray[np.bool_]:
        """Return where cheap scores leave their query's threshold within reach, (m,)."""

    @abstractmethod
    def ranked(self, scores: Any, place: int) -> Floats:
        """Return each query's cheap score at a place (1 is the best)."""

    def _look(self, values: NDArray[Any], floors: NDArray[Any]) -> Hits:
        """Return where values, (n, rows), reach the floors, (n,), by all threads."""
        if self._mask.size < values.size:
            self._mask = np.empty(values.size, np.bool_)
        mask = self._mask[: values.size].reshape(values.shape)

        def look(start: int) -> Hits:
            part = values[start : start + QUERIES_TOGETHER]
            floor = floors[start : start + QUERIES_TOGETHER, None]
            reached = mask[start : start + QUERIES_TOGETHER]
            flat = np.flatnonzero(np.greater_equal(part, floor, out=reached))
            query, row = np.divmod(flat.astype(np.int32), np.int32(max(1, part.shape[1])))
            return Hits(query + np.int32(start), row, part.reshape(-1)[flat])

        return joined(self._threads.map(look, range(0, len(values), QUERIES_TOGETHER)))


class Float32Product(Product):
    """numpy alone: float32 products, half as fast as bfloat16 where the processor has that."""

    def __init__(self, queries: Embeddings, threads: Executor) -> None:
        super().__init__(threads)
        self._queries = queries
        worst = 2 * queries.shape[1] * FLOAT32 * MAX_LENGTH**2
        self.margin = np.full(len(queries), worst + SLACK, np.float32)

    def scores(self, block: Floats) -> Floats:
        """Return float32 scores, (n, rows)."""
        return self._queries @ block.T

    def reaching(self, scores: Floats, thresholds: Floats) -> Hits:
        """Return all pairs but those proven to be below."""
        return self._look(scores, thresholds - self.margin)

    def reaches(self, hits: Hits, thresholds: Floats) -> NDArray[np.bool_]:
        """Return where a threshold is within reach."""
        reached: NDArray[np.bool_] = hits.scores >= (thresholds - self.margin)[hits.queries]
        return reached

    def ranked(self, scores: Floats, place: int) -> Floats:
        """Return each query's cheap score at a place."""
        return -np.partition(-scores, place - 1, axis=1)[:, place - 1]


class BFloat16Product(Product):
    """torch: bfloat16 products with float32 sums, on the CPU or a CUDA device."""

    def __init__(self, queries: Embeddings, threads: Executor, device: str) -> None:
        import torch

        super().__init__(threads)
        self._device = torch.device(device)
        whole = torch.from_numpy(np.require(queries, requirements=["C", "W"])).to(self._device)
        self._queries, lost = _to_bfloat16(whole)
        # The sums: a tensor core may truncate where IEEE rounds, hence 4 and not 1.
        sums = MAX_LENGTH**2 * 4 * queries.shape[1] * FLOAT32
        self._of_queries = lost.cpu().numpy() * MAX_LENGTH + sums + SLACK
        self._of_rows = 0.0
        self.margin = self._of_queries.astype(np.float32)
        self._buffer = torch.empty(0, dtype=torch.bfloat16, device=self._device)

    def scores(self, block: Floats) -> Any:
        """Return bfloat16 scores, (n, rows), on the device.

        Rounding is monotone, so the rounding of the sums to bfloat16 needs no margin of its own:
        thresholds are rounded likewise.
        """
        import torch

        rows, lost = _to_bfloat16(torch.from_numpy(block).to(self._device))
        worst = float(lost.max()) * MAX_LENGTH if len(block) else 0.0
        if worst > self._of_rows:
            self._of_rows = worst
            self.margin = (self._of_queries + worst).astype(np.float32)
        size = len(self._queries) * len(rows)
        if len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=torch.bfloat16, device=self._device)
        out = self._buffer[:size].view(len(self._queries), len(rows))
        with _whole_sums():
            return torch.mm(self._queries, rows.T, out=out)

    def reaching(self, scores: Any, thresholds: Floats) -> Hits:
        """Return all pairs but those proven to be below."""
        import torch

        floor = torch.from_numpy(thresholds - self.margin).to(torch.bfloat16)
        if self._device.type == "cpu" and bool((floor > 0).all()):
            # Positive floats order as their bits do, and numpy compares 16-bit integers ten times
            # faster than torch does bfloat16. Negative scores are negative integers: below.
            found = self._look(scores.view(torch.int16).numpy(), floor.view(torch.int16).numpy())
            return found._replace(scores=(found.scores.astype(np.int32) << 16).view(np.float32))
        mask = scores >= floor.to(self._device)[:, None]
        query, row = mask.nonzero(as_tuple=True)
        parts = query.int(), row.int(), scores[mask].float()
        return Hits(*(part.cpu().numpy() for part in parts))

    def reaches(self, hits: Hits, thresholds: Floats) -> NDArray[np.bool_]:
        """Return where a threshold is within reach."""
        import torch

        floors = torch.from_numpy(thresholds - self.margin).to(torch.bfloat16).float().numpy()
        reached: NDArray[np.bool_] = hits.scores >= floors[hits.queries]
        return reached

    def ranked(self, scores: Any, place: int) -> Floats:
        """Return each query's cheap score at a place."""
        best = scores.float().topk(place, dim=1, sorted=True).values[:, -1]
        ranked: Floats = best.cpu().numpy()
        return ranked


def _to_bfloat16(whole: Any) -> tuple[Any, Any]:
    """Return float32 vectors, (m, dim), in bfloat16, and the length of what each lost, (m,)."""
    import torch

    low = whole.to(torch.bfloat16)
    lost = low.float().sub_(whole)
    return low, torch.linalg.vector_norm(lost, dim=1)


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


def make_product(queries: Embeddings, threads: Executor, device: Device) -> Product:
    """Return the fastest product that can be had: torch where it is installed, else numpy.

    Args:
        queries: float32, (n, dim).
        threads: Who looks at the scores.
        device: ``auto``: CUDA if there is a device.

    Raises:
        RuntimeError: torch says that there is no CUDA device, and one was asked for.
    """
    try:
        import torch
    except ImportError:
        return Float32Product(queries, threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not _multiplies_bfloat16():
        return Float32Product(queries, threads)
    return BFloat16Product(queries, threads, device)


def _multiplies_bfloat16() -> bool:
    """Tell whether this processor has instructions for it; emulation is slower than float32."""
    about = Path("/proc/cpuinfo")
    flags = about.read_text().split() if about.is_file() else []
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))
