"""All pairs of 64-bit hashes that differ in few bits, exactly, without comparing all pairs.

Proven by the pigeonhole principle: split the bits into r + c blocks. Two hashes that differ in at
most r bits differ in at most r blocks, so that at least c blocks are equal in both. So the pairs
that are equal in some choice of c blocks include all that are wanted, and comparing just these
finds every one (Manku et al., 2007, "Detecting near-duplicates for web crawling")::

    r = 2, c = 1:   |  block 0  |  block 1  |  block 2  |
    hash a          | 0110 1001 | 1100 0101 | 1001 0110 |
    hash b          | 0110 1011 | 1100 0101 | 1000 0110 |  block 1 is equal
                             ^                   ^

Fast, because for each choice of c blocks the hashes are masked to them and sorted: equal ones then
stand together, and only these are compared. Larger c means more choices, and so more sorting, but
longer keys, and so fewer pairs that are equal in them by chance; c is chosen by what both would
cost for random hashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb, log2

import numpy as np
from numpy.typing import NDArray

BITS = 64
SORTING_COST = 12.0
"""Cost of sorting one hash, for each doubling of their number, in comparisons of one pair."""
MOST_EQUAL = 5
"""Blocks that have to be equal at most; more would mean too many choices to sort for."""
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]
NearPairs = tuple[Rows, Rows, NDArray[np.uint8]]


def near_pairs(hashes: Hashes, radius: int) -> NearPairs:
    """Find every pair of hashes that differ in at most ``radius`` bits.

    Args:
        hashes: uint64, (n,), each value once.
        radius: Bits, 0 to 32.

    Returns:
        int64, int64 and uint8, (pairs,) each: the row indices of both hashes, the first below the
        second, each pair once, sorted; and the number of bits in which they differ.
    """
    if radius < 1 or len(hashes) < 2:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.uint8)
    blocks, equal = _plan(len(hashes), radius)
    found = [np.zeros(0, dtype=np.int64)]
    for chosen in combinations(_masks(blocks), equal):
        mask = np.bitwise_or.reduce(np.array(chosen, dtype=np.uint64))
        for first, second in _equal_pairs(hashes & mask):
            close = bit_count(hashes[first] ^ hashes[second]) <= radius
            found.append(pack(first[close], second[close], len(hashes)))
    # A pair is found once for each choice of blocks in which it is equal: packed into one integer,
    # its copies are removed by one sort.
    low, high = unpack(np.unique(np.concatenate(found)), len(hashes))
    return low, high, bit_count(hashes[low] ^ hashes[high])


def pack(first: Rows, second: Rows, rows: int) -> Rows:
    """Return pairs as integers, lower row · rows + higher row: they sort by both, in this order.

    Args:
        first: int64, (m,), row indices.
        second: int64, (m,), row indices.
        rows: Number of rows, below 2^31.5, so that the products fit into 63 bits.
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    packed: Rows = low * rows + high
    return packed


def unpack(pairs: Rows, rows: int) -> tuple[Rows, Rows]:
    """Return the lower and the higher row index, (m,) each, of packed pairs."""
    low, high = np.divmod(pairs, rows)
    return low, high


def bit_count(values: Hashes) -> NDArray[np.uint8]:
    """Return the number of bits that are set in each value."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.asarray(np.bitwise_count(values), dtype=np.uint8)
    # numpy 1: the counts of all 16-bit numbers, looked up for the four quarters of each value.
    table = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)
    quarters = np.ascontiguousarray(values).view(np.uint16).reshape(-1, 4)
    return np.asarray(table[quarters].sum(axis=1, dtype=np.uint8), dtype=np.uint8)


def _plan(rows: int, radius: int) -> tuple[int, int]:
    """Return into how many blocks to split, and how many of them must be equal."""

    def cost(equal: int) -> float:
        blocks = radius + equal
        # Of rows² / 2 random pairs, one in 2^(bits of the key) is equal in the blocks of the key.
        compared = rows * rows / 2 / 2.0 ** (BITS * equal / blocks)
        return float(comb(blocks, equal) * (SORTING_COST * rows * log2(rows) + compared))

    equal = min(range(1, MOST_EQUAL + 1), key=cost)
    return radius + equal, equal


def _masks(blocks: int) -> list[int]:
    """Return the masks of so many blocks of nearly equal length, the lowest bits first."""
    edges = [BITS * number // blocks for number in range(blocks + 1)]
    return [(1 << stop) - (1 << start) for start, stop in pairwise(edges)]


def _equal_pairs(keys: Hashes) -> Iterator[tuple[Rows, Rows]]:
    """Yield the row indices of all pairs of equal keys, fewer at a time than there are keys.

    In sorted order equal keys stand together. The n-th round pairs each with the n-th behind it;
    where these differ, those further behind do, too, so that the first of them drops out.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.arange(len(keys) - 1)
    step = 1
    while len(starts := starts[starts + step < len(keys)]):
        starts = starts[ordered[starts] == ordered[starts + step]]
        yield order[starts], order[starts + step]
        step += 1
