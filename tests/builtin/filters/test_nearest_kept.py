from __future__ import annotations

import csv
from collections import defaultdict
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from laion_eo.builtin.filters.nearest_kept import Limits, NearestKept

Vectors = NDArray[np.float32]
Twins = dict[int, int]
CELLS = Limits(exact_rows=0, block=64)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def crowds(rng: np.random.Generator) -> Vectors:
    """A dense crowd, many small ones, and loners."""
    centres = rng.normal(size=(200, 24))
    sizes = [400, *[5] * 99, *[1] * 100]
    return unit(np.repeat(centres, sizes, axis=0) + rng.normal(0, 0.15, (sum(sizes), 24)))


def found(kept: NearestKept, vectors: Vectors, order: NDArray[np.int64]) -> Twins:
    twins = {}
    for row in order.tolist():
        near = kept.nearest(row)
        if near is None:
            kept.keep(row)
        else:
            twins[row] = near[0]
            assert near[1] == pytest.approx(vectors[row] @ vectors[near[0]], abs=1e-5)
    return twins


def all_pairs(vectors: Vectors, order: NDArray[np.int64], cosine: float) -> Twins:
    kept: list[int] = []
    twins = {}
    for row in order.tolist():
        cosines = vectors[kept] @ vectors[row]
        if len(kept) and cosines.max() >= cosine:
            twins[row] = kept[int(cosines.argmax())]
        else:
            kept.append(row)
    return twins


def test_one_cell_is_exact() -> None:
    rng = np.random.default_rng(0)
    vectors = crowds(rng)
    order = rng.permutation(len(vectors))
    truth = all_pairs(vectors, order, 0.95)
    assert 100 < len(truth) < len(vectors) - 100
    kept = NearestKept(vectors, order, 0.95, Limits(block=64))
    assert found(kept, vectors, order) == truth


@st.composite
def crowded(draw: st.DrawFn) -> tuple[Vectors, list[int]]:
    """Vectors of small whole numbers, some of them equal or opposite, and an order of some rows."""
    dim = draw(st.integers(1, 4))
    vector = st.lists(st.integers(-2, 2), min_size=dim, max_size=dim).filter(any)
    vectors = np.array(draw(st.lists(vector, min_size=1, max_size=20)), np.float32)
    order = draw(st.permutations(range(len(vectors))))
    return vectors, order[: draw(st.integers(0, len(order)))]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    made=crowded(),
    cosine=st.sampled_from([0.31, 0.86, 0.97]),  # between the cosines that such vectors have
    limits=st.builds(Limits, exact_rows=st.just(20), block=st.integers(1, 7)),
)
def test_any_vectors_in_the_exact_range(
    made: tuple[Vectors, list[int]], cosine: float, limits: Limits
) -> None:
    vectors, order = made
    directions = unit(vectors.astype(np.float64))
    kept = NearestKept(vectors, np.array(order, np.int64), cosine, limits)
    keepers: list[int] = []
    for row in order:
        cosines = {keeper: float(directions[row] @ directions[keeper]) for keeper in keepers}
        best = max(cosines.values(), default=-1.0)
        near = kept.nearest(row)
        if best < cosine:
            assert near is None
            kept.keep(row)
            keepers.append(row)
        else:
            assert near is not None
            assert near[1] == pytest.approx(best, abs=1e-5)
            assert cosines[near[0]] == pytest.approx(best, abs=1e-5)


def test_cells_find_nearly_all_with_few_comparisons() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(np.concatenate([crowds(rng), rng.normal(size=(4000, 24))]))
    order = rng.permutation(len(vectors))
    truth = all_pairs(vectors, order, 0.95)
    kept = NearestKept(vectors, order, 0.95, CELLS)
    twins = found(kept, vectors, order)
    assert len(twins) >= 0.99 * len(truth)
    assert sum(twins.get(row) == keeper for row, keeper in truth.items()) >= 0.99 * len(truth)
    keepers = len(vectors) - len(truth)
    assert kept.compared < 0.5 * keepers * keepers / 2


def test_a_dense_crowd_is_not_parted_among_pivots() -> None:
    """Most pivots are drawn in it; were all used, its first row would be in one cell of many."""
    rng = np.random.default_rng(2)
    centre = rng.normal(size=(1, 24))
    vectors = unit(
        np.concatenate([centre + rng.normal(0, 0.1, (3000, 24)), rng.normal(size=(500, 24))])
    )
    order = rng.permutation(len(vectors))
    kept = NearestKept(vectors, order, 0.95, Limits(exact_rows=0, probes=2, block=64))
    assert found(kept, vectors, order) == all_pairs(vectors, order, 0.95)


def test_rows_left_out_of_the_order_are_like_nothing() -> None:
    vectors = np.array([[1, 0], [0, 0], [1, 0.01], [0, 0]], np.float16)
    kept = NearestKept(vectors, np.array([2, 0]), 0.9)
    assert kept.nearest(2) is None
    kept.keep(2)
    near = kept.nearest(0)
    assert near is not None and near[0] == 2
    assert NearestKept(vectors, np.zeros(0, np.int64), 0.9)  # nothing to ask about is no error


@pytest.fixture(scope="module")
def photographs(shared: Path) -> Vectors:
    """The pixels of photographs, each there at two sizes."""
    web = shared / "miniweb"
    captions = defaultdict(set)
    with (web / "flickr8k_captions.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            captions[row["key"]].add(row["caption"])
    same = defaultdict(list)
    for key, said in captions.items():
        same[frozenset(said)].append(key)
    pixels = []
    for key in chain(*[keys for keys in same.values() if len(keys) > 1][:200]):
        with Image.open(web / "images" / f"{key}.jpg") as image:
            small = image.convert("RGB").resize((16, 16), Image.Resampling.BOX)
        pixels.append(np.asarray(small, dtype=np.float64).ravel())
    return unit(np.array(pixels) - np.mean(pixels, axis=0))


@pytest.mark.parametrize("cosine", [0.9, 0.96, 0.99])
def test_real_photographs_are_grouped_as_by_all_pairs(photographs: Vectors, cosine: float) -> None:
    order = np.random.default_rng(0).permutation(len(photographs))
    truth = all_pairs(photographs, order, cosine)
    assert len(truth) > 50
    kept = NearestKept(photographs, order, cosine, Limits(exact_rows=0, block=32))
    assert found(kept, photographs, order) == truth
