from __future__ import annotations

import csv
from collections import defaultdict
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from laion_eo.builtin.filters import nearest_kept
from laion_eo.builtin.filters.nearest_kept import NearestKept

Vectors = NDArray[np.float32]
Twins = dict[int, int]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def crowds(rng: np.random.Generator) -> Vectors:
    """A dense crowd, many small ones, and loners."""
    centres = rng.normal(size=(200, 24))
    sizes = [400, *[5] * 99, *[1] * 100]
    return unit(np.repeat(centres, sizes, axis=0) + rng.normal(0, 0.15, (sum(sizes), 24)))


def found(vectors: Vectors, order: NDArray[np.int64], cosine: float) -> Twins:
    kept, twins = NearestKept(vectors, order, cosine), {}
    for place in order.tolist():
        near = kept.nearest(place)
        if near is None:
            kept.keep(place)
        else:
            twins[place] = near[0]
            assert near[1] == pytest.approx(vectors[place] @ vectors[near[0]], abs=1e-5)
    return twins


def all_pairs(vectors: Vectors, order: NDArray[np.int64], cosine: float) -> Twins:
    kept: list[int] = []
    twins = {}
    for place in order.tolist():
        cosines = vectors[kept] @ vectors[place]
        if len(kept) and cosines.max() >= cosine:
            twins[place] = kept[int(cosines.argmax())]
        else:
            kept.append(place)
    return twins


def test_one_cell_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_kept, "BLOCK", 64)
    rng = np.random.default_rng(0)
    vectors = crowds(rng)
    order = rng.permutation(len(vectors))
    truth = all_pairs(vectors, order, 0.95)
    assert 100 < len(truth) < len(vectors) - 100
    assert found(vectors, order, 0.95) == truth


def test_cells_find_nearly_all_with_few_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_kept, "BLOCK", 64)
    monkeypatch.setattr(nearest_kept, "EXACT_ROWS", 0)
    compared = 0
    compare = NearestKept._compare

    def counting(
        self: NearestKept, rows: Vectors, who: NDArray[np.int64], kept: NDArray[np.int64]
    ) -> None:
        nonlocal compared
        compared += len(who) * len(kept)
        compare(self, rows, who, kept)

    monkeypatch.setattr(NearestKept, "_compare", counting)
    rng = np.random.default_rng(1)
    vectors = unit(np.concatenate([crowds(rng), rng.normal(size=(4000, 24))]))
    order = rng.permutation(len(vectors))
    truth = all_pairs(vectors, order, 0.95)
    twins = found(vectors, order, 0.95)
    assert len(twins) >= 0.99 * len(truth)
    assert sum(twins.get(place) == keeper for place, keeper in truth.items()) >= 0.99 * len(truth)
    kept = len(vectors) - len(truth)
    assert compared < 0.5 * kept * kept / 2


def test_a_dense_crowd_is_not_parted_among_pivots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most pivots are drawn in it; were all kept, its first row would lie in one cell of many."""
    for name, value in {"BLOCK": 64, "EXACT_ROWS": 0, "PROBES": 2}.items():
        monkeypatch.setattr(nearest_kept, name, value)
    rng = np.random.default_rng(2)
    centre = rng.normal(size=(1, 24))
    vectors = unit(
        np.concatenate([centre + rng.normal(0, 0.1, (3000, 24)), rng.normal(size=(500, 24))])
    )
    order = rng.permutation(len(vectors))
    assert found(vectors, order, 0.95) == all_pairs(vectors, order, 0.95)


def test_rows_left_out_of_the_order_are_like_nothing() -> None:
    vectors = np.array([[1, 0], [0, 0], [1, 0.01], [0, 0]], np.float16)
    kept = NearestKept(vectors, np.array([2, 0]), 0.9)
    assert kept.nearest(2) is None
    kept.keep(2)
    near = kept.nearest(0)
    assert near is not None and near[0] == 2
    assert NearestKept(vectors, np.zeros(0, np.int64), 0.9)  # nothing to ask about is no error


def real_vectors(shared: Path) -> Vectors:
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
def test_real_photographs_are_grouped_as_by_all_pairs(
    shared: Path, cosine: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_kept, "BLOCK", 32)
    monkeypatch.setattr(nearest_kept, "EXACT_ROWS", 0)
    vectors = real_vectors(shared)
    order = np.random.default_rng(0).permutation(len(vectors))
    truth = all_pairs(vectors, order, cosine)
    assert len(truth) > 50
    assert found(vectors, order, cosine) == truth
