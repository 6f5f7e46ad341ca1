"""All pairs of 64-bit hashes that differ in few bits, exactly, without comparing all pairs.

If two hashes differ in at most r bits and the bits are split into r + c blocks, then at least c
blocks are the same in both. So the hashes are sorted once for each choice of c blocks, and only
those that agree in them are compared (Manku et al., 2007). More blocks mean more sorting and fewer
comparisons; c is chosen by what both would cost for random hashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb, log2

import numpy as np
from numpy.typing import NDArray

BITS = 64
SORTING_COST = 12.0
"""What sorting one hash costs, for each doubling of their number, in comparisons of one pair."""
Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
NearPairs = tuple[Places, Places, NDArray[np.uint8]]


def near_pairs(hashes: Hashes, radius: int) -> NearPairs:
    """Find every pair of hashes that differ in at most ``radius`` bits.

    Args:
        hashes: uint64, (n,), each value once.
        radius: Bits, 0 to 32.

    Returns:
        int64, int64 and uint8, (pairs,) each: the two places, the first below the second, each
        pair once, sorted; and the bits by which they differ.
    """
    if radius < 1 or len(hashes) < 2:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.uint8)
    blocks, same = _plan(len(hashes), radius)
    masks = _masks(blocks)
    found = [np.zeros(0, dtype=np.int64)]
    for chosen in combinations(masks, same):
        mask = np.bitwise_or.reduce(np.array(chosen, dtype=np.uint64))
        for first, second in _agreeing(hashes & mask):
            close = bit_count(hashes[first] ^ hashes[second]) <= radius
            low = np.minimum(first[close], second[close])
            high = np.maximum(first[close], second[close])
            found.append(low * len(hashes) + high)
    low, high = np.divmod(np.unique(np.concatenate(found)), len(hashes))
    return low, high, bit_count(hashes[low] ^ hashes[high])


def bit_count(values: Hashes) -> NDArray[np.uint8]:
    """Return how many bits of each value are set."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.asarray(np.bitwise_count(values), dtype=np.uint8)
    table = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)
    parts = np.ascontiguousarray(values).view(np.uint16).reshape(-1, 4)
    return np.asarray(table[parts].sum(axis=1, dtype=np.uint8), dtype=np.uint8)


def _plan(rows: int, radius: int) -> tuple[int, int]:
    """Return into how many blocks to split, and how many of them must agree."""

    def cost(same: int) -> float:
        blocks = radius + same
        agreeing = rows * rows / 2 / 2.0 ** (BITS * same / blocks)
        return float(comb(blocks, same) * (SORTING_COST * rows * log2(rows) + agreeing))

    same = min(range(1, 6), key=cost)
    return radius + same, same


def _masks(blocks: int) -> list[int]:
    edges = [BITS * number // blocks for number in range(blocks + 1)]
    return [(1 << stop) - (1 << start) for start, stop in pairwise(edges)]


def _agreeing(keys: Hashes) -> Iterator[tuple[Places, Places]]:
    """Yield the pairs of places with equal keys, a bounded number at a time."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    # The n-th round pairs each place with the n-th behind it, for as long as the keys agree.
    starts = np.arange(len(keys) - 1)
    step = 1
    while len(starts := starts[starts + step < len(keys)]):
        starts = starts[ordered[starts] == ordered[starts + step]]
        yield order[starts], order[starts + step]
        step += 1
