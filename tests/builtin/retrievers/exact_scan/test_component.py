from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.exact_scan.topk import MAX_QUERIES
from laion_eo.component import Context
from laion_eo.errors import DataError
from laion_eo.testing import random_unit, write_pool
from laion_eo.types import Neighbors


def scan(pool: Path, **options: object) -> ExactScan:
    config = ExactScan.Config.model_validate({"pool": str(pool), **options})
    return ExactScan(config, Context())


def brute_force(pool: NDArray[np.floating], queries: NDArray[np.float32], k: int) -> Neighbors:
    """Every score in one product, every row sorted outright: best first, equal scores by id."""
    scores = (queries.astype(np.float64) @ pool.astype(np.float64).T).astype(np.float32)
    ids = np.full((len(queries), k), -1, np.int64)
    best = np.full((len(queries), k), -np.inf, np.float32)
    for row in range(len(queries)):
        order = np.lexsort((np.arange(len(pool)), -scores[row]))[:k]
        ids[row, : len(order)], best[row, : len(order)] = order, scores[row][order]
    return Neighbors(best, ids)


def assert_same(found: Neighbors, expected: Neighbors) -> None:
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f2"])
def test_random_vectors_as_brute_force(tmp_path: Path, dtype: str) -> None:
    vectors = random_unit(3000, 64).astype(dtype)
    queries = random_unit(40, 64, seed=1)
    pool = write_pool(tmp_path, vectors, shards=4)
    assert_same(scan(pool).search(queries, 50), brute_force(vectors, queries, 50))


def test_more_anchors_than_one_pass_takes(tmp_path: Path) -> None:
    vectors, few = random_unit(3, 4), random_unit(5, 4, seed=1)
    queries = np.resize(few, (MAX_QUERIES + 1, 4))
    retriever = scan(write_pool(tmp_path, vectors))
    expected = brute_force(vectors, few, 2)
    found = retriever.search(queries, 2)
    np.testing.assert_array_equal(found.ids, np.resize(expected.ids, (len(queries), 2)))
    np.testing.assert_array_equal(found.scores, np.resize(expected.scores, (len(queries), 2)))
    assert retriever.facts()["pairs"] == 3 * len(queries)


def test_each_piece_raises_the_floor_of_the_next(tmp_path: Path) -> None:
    """Where the neighbours stand in the first file, hardly a row of the others is scored."""
    queries = random_unit(5, 16, seed=1)
    near = queries[:, None] + 0.3 * random_unit(60, 16, seed=2)
    near = near.reshape(300, 16) / np.linalg.norm(near, axis=2).reshape(300, 1)
    far = random_unit(600, 16, seed=3)
    far = far[(far @ queries.T).max(axis=1) < 0.6][:300]
    scored = []
    for name, parts in (("near first", [near, far]), ("far first", [far, near])):
        vectors = np.concatenate(parts)
        retriever = scan(write_pool(tmp_path / name, vectors, shards=2))
        assert_same(retriever.search(queries, 40), brute_force(vectors, queries, 40))
        scored.append(retriever.take_counts()["pairs_scored"])
    assert scored[0] <= scored[1] - 5 * 40  # the 40 best of the far file are scored for nothing


def test_ties_go_to_the_lower_row(tmp_path: Path) -> None:
    few = random_unit(20, 32).astype(np.float16)
    vectors = np.tile(few, (50, 1))  # each vector 50 times, across shards
    queries = random_unit(5, 32, seed=1)
    pool = write_pool(tmp_path, vectors, shards=3)
    found = scan(pool).search(queries, 120)
    assert_same(found, brute_force(vectors, queries, 120))
    assert (np.diff(found.ids[:, :50], axis=1) == 20).all()


def test_real_vectors_as_brute_force(shared: Path, tmp_path: Path) -> None:
    """Thumbnails of real pictures as vectors: clustered and positive, as embeddings are."""
    files = sorted((shared / "miniweb" / "images").rglob("*.jpg"))[::20]
    thumbnails = [np.asarray(Image.open(f).convert("RGB").resize((8, 8)), float) for f in files]
    values = np.array(thumbnails).reshape(len(files), -1) - 100.0
    unit = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)
    queries = unit[::9].astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    assert len(unit) > 300
    pool = write_pool(tmp_path, unit, shards=2)
    found = scan(pool).search(queries, 100)
    assert_same(found, brute_force(unit, queries, 100))
    assert (found.ids[:, 0] == np.arange(0, len(unit), 9)).mean() > 0.9  # itself, or its copy


@pytest.mark.parametrize("k", [1, 7, 8])
def test_k_as_large_as_the_pool_and_larger(tmp_path: Path, k: int) -> None:
    vectors, queries = random_unit(7, 16), random_unit(3, 16, seed=1)
    pool = write_pool(tmp_path, vectors)
    assert_same(scan(pool).search(queries, k), brute_force(vectors, queries, k))


def test_an_empty_pool_has_no_neighbours(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(0, 16).reshape(0, 16))
    found = scan(pool).search(random_unit(3, 16), 4)
    assert found.ids.shape == (3, 4)
    assert (found.ids == -1).all()


def test_a_pool_without_files_has_no_neighbours(tmp_path: Path) -> None:
    (tmp_path / "img_emb").mkdir()
    (tmp_path / "metadata").mkdir()
    assert (scan(tmp_path).search(random_unit(1, 16), 2).ids == -1).all()


def test_one_anchor_and_none(tmp_path: Path) -> None:
    vectors = random_unit(100, 16)
    pool = write_pool(tmp_path, vectors, shards=2)
    for queries in (random_unit(1, 16, seed=1), random_unit(0, 16)):
        assert_same(scan(pool).search(queries, 5), brute_force(vectors, queries, 5))


def test_lookup_in_the_order_asked(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(100, 8), shards=3)
    ids = np.array([99, 0, 50, 33, 34, 66, 67], np.int64)
    table = scan(pool).lookup(ids)
    assert table["url"].to_pylist() == [f"http://pool/{i}" for i in ids]
    assert table["caption"].to_pylist() == [f"row {i}" for i in ids]
    assert scan(pool).lookup(ids[:0]).column_names == ["url", "caption"]


def test_laion_column_names_are_known(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(5, 8))
    file = next((pool / "metadata").glob("*.parquet"))
    pq.write_table(pq.read_table(file).rename_columns(["URL", "TEXT"]), file)
    table = scan(pool).lookup(np.array([3], np.int64))
    assert table.to_pylist() == [{"url": "http://pool/3", "caption": "row 3"}]


def test_metadata_without_urls_names_its_columns(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(5, 8))
    file = next((pool / "metadata").glob("*.parquet"))
    pq.write_table(pq.read_table(file).rename_columns(["key", "TEXT"]), file)
    with pytest.raises(DataError, match=r"metadata_000\.parquet: .*'url'.* key, TEXT"):
        scan(pool).lookup(np.array([3], np.int64))


def spoil(pool: Path, row: int, vector: object) -> None:
    file = sorted((pool / "img_emb").glob("*.npy"))[1]
    vectors = np.load(file)
    vectors[row] = vector
    np.save(file, vectors)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 0.5])
def test_a_vector_not_of_length_one_is_named(tmp_path: Path, bad: float) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2)
    spoil(pool, 7, bad)
    with pytest.raises(DataError, match=r"img_emb_001\.npy: .*row 7 ") as caught:
        scan(pool).search(random_unit(3, 16), 5)
    assert ("set normalize = true" in str(caught.value)) == (bad == 0.5)  # else it is no help


def test_one_nan_in_a_vector_is_enough(tmp_path: Path) -> None:
    vectors = random_unit(60, 16)
    vectors[40, 3] = np.nan
    pool = write_pool(tmp_path, vectors)
    for rows in (60, 25):  # in the second shard too, rows are numbered from the file's first
        with pytest.raises(DataError, match=r"img_emb_000\.npy: .*row 40 "):
            scan(pool, shard_rows=rows).search(random_unit(3, 16), 5)


def test_of_several_bad_rows_the_first_is_named(tmp_path: Path) -> None:
    vectors = random_unit(60, 16)
    vectors[20:50] = np.nan
    with pytest.raises(DataError, match=r"img_emb_000\.npy: .*row 20 "):
        scan(write_pool(tmp_path, vectors)).search(random_unit(3, 16), 5)


def test_another_dimension_names_the_file_and_both(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16))
    with pytest.raises(DataError, match=r"img_emb_000\.npy: .*dimension 16.*32"):
        scan(pool).search(random_unit(3, 32), 5)


def test_metadata_of_other_rows_names_both_files(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2, shift=1)
    with pytest.raises(DataError, match=r"img_emb_000\.npy: 30 .*metadata_000\.parquet has 31"):
        scan(pool).search(random_unit(3, 16), 5)


def test_a_metadata_file_too_few(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2)
    next((pool / "metadata").glob("*.parquet")).unlink()
    with pytest.raises(
        DataError, match=r"60 vectors in 2 files, but 30 rows in 1 files of metadata"
    ):
        scan(pool).pool_size()


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2)
    file = pool / "img_emb" / "img_emb_001.npy"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"img_emb_001\.npy: .* bytes where its header promises"):
        scan(pool).pool_size()  # said before anything is searched


def test_a_pickled_shard_is_not_opened(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2)
    np.save(pool / "img_emb" / "img_emb_001.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"img_emb_001\.npy: "):
        scan(pool).search(random_unit(3, 16), 5)


def test_no_pool_at_all_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a pool; expected img_emb"):
        scan(tmp_path / "nowhere").pool_size()


def test_size_and_identity(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2)
    size = scan(pool).pool_size()
    assert size is not None
    assert (size.rows, size.bytes) == (60, 60 * 16 * 4 + 2 * 128)
    before = scan(pool).identity()
    assert scan(pool).identity() == before
    spoil(pool, 0, 0.25)
    assert scan(pool).identity() != before


def test_the_index_file_of_a_pool_is_an_object(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(6, 16))
    (pool / "index.json").write_text("[]")
    with pytest.raises(DataError, match=r"index\.json: not a pool's index\.json"):
        scan(pool).before_re_laion()
