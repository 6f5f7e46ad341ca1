from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from laion_eo.builtin.filters.hamming import bit_count, near_pairs, pack, unpack


def found(hashes: NDArray[np.uint64], radius: int) -> dict[tuple[int, int], int]:
    low, high, bits = near_pairs(hashes, radius)
    pairs = list(zip(low.tolist(), high.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    return dict(zip(pairs, bits.tolist(), strict=True))


def all_pairs(hashes: NDArray[np.uint64], radius: int) -> dict[tuple[int, int], int]:
    values = [int(value) for value in hashes]
    pairs = combinations(range(len(values)), 2)
    bits = {(a, b): (values[a] ^ values[b]).bit_count() for a, b in pairs}
    return {pair: count for pair, count in bits.items() if count <= radius}


@pytest.mark.parametrize("radius", [1, 3, 4, 8, 12])
def test_near_pairs_are_those_of_all_pairs(radius: int) -> None:
    rng = np.random.default_rng(radius)
    hashes = rng.integers(0, 2**64, 300, dtype=np.uint64)
    hashes[150:] = hashes[:150]
    for _ in range(radius):  # copies with up to that many bits changed, and some with one more
        hashes[150:] ^= np.uint64(1) << rng.integers(0, 64, 150, dtype=np.uint64)
    hashes[200:] ^= np.uint64(1) << rng.integers(0, 64, 100, dtype=np.uint64)
    hashes = np.unique(hashes)
    truth = all_pairs(hashes, radius)
    assert len(truth) > 20
    assert found(hashes, radius) == truth


@st.composite
def clustered(draw: st.DrawFn) -> NDArray[np.uint64]:
    """Distinct hashes, in any order: some of any bits, and copies of them with a few changed."""
    base = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
    flips = st.sets(st.integers(0, 63), max_size=20)
    copies = draw(st.lists(st.tuples(st.sampled_from(base), flips), max_size=15))
    values = base + [value ^ sum(1 << bit for bit in bits) for value, bits in copies]
    return np.array(draw(st.permutations(sorted(set(values)))), np.uint64)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(hashes=clustered(), radius=st.integers(0, 16))
def test_any_hashes(hashes: NDArray[np.uint64], radius: int) -> None:
    assert found(hashes, radius) == all_pairs(hashes, radius)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=st.integers(2, 2**31), data=st.data())
def test_packed_pairs_come_back(rows: int, data: st.DataObject) -> None:
    row = st.integers(0, rows - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(row, row), min_size=1, max_size=9)), np.int64)
    packed = pack(pairs[:, 0], pairs[:, 1], rows)
    low, high = unpack(packed, rows)
    assert list(zip(low, high, strict=True)) == [tuple(sorted(pair)) for pair in pairs.tolist()]
    order = np.argsort(packed, kind="stable")
    assert order.tolist() == np.lexsort((high, low)).tolist()


def test_bits_are_counted_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 2**64, (7, 5), dtype=np.uint64).ravel()
    wanted = [int(value).bit_count() for value in values]
    assert bit_count(values).tolist() == wanted
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert bit_count(values).tolist() == wanted
