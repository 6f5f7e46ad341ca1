from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.faiss import FaissIndex
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.testing import random_unit, write_pool

faiss: Any = pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
VECTORS = random_unit(2000, 32)
QUERIES = random_unit(20, 32, seed=1)


def build(folder: Path, factory: str, vectors: NDArray[np.float32] = VECTORS) -> Path:
    """A pool with an index beside it."""
    write_pool(folder, vectors, shards=3)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "image.index"))
    return folder


def retriever(folder: Path, **options: object) -> FaissIndex:
    config = FaissIndex.Config.model_validate({"index": str(folder), **options})
    return FaissIndex(config, Context())


def exact(folder: Path, k: int) -> NDArray[np.int64]:
    config = ExactScan.Config.model_validate({"pool": str(folder)})
    return ExactScan(config, Context()).search(QUERIES, k).ids


def test_a_flat_index_is_exact(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    mine = retriever(folder)
    found = mine.search(QUERIES, 10)
    np.testing.assert_array_equal(found.ids, exact(folder, 10))
    assert mine.facts() == {"vouched": False, "recall_at_k": 1.0, "recall_sample": 20}
    assert mine.lookup(found.ids[0, :2])["url"].to_pylist() == [
        f"http://pool/{row}" for row in found.ids[0, :2]
    ]


def test_more_cells_find_more(tmp_path: Path) -> None:
    folder = build(tmp_path, "IVF32,SQ8")
    recalls = []
    for nprobe in (8, 32):
        mine = retriever(folder, nprobe=nprobe)
        mine.search(QUERIES, 10)
        recalls.append(float(mine.facts()["recall_at_k"]))
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.9


def test_ef_search_reaches_an_hnsw(tmp_path: Path) -> None:
    build(tmp_path, "HNSW4")
    recalls = []
    for ef_search in (12, 200):
        mine = retriever(tmp_path, ef_search=ef_search)
        mine.search(QUERIES, 10)
        recalls.append(float(mine.facts()["recall_at_k"]))
    assert recalls[0] < recalls[1]
    with pytest.raises(ConfigError, match=r"image\.index: the index has no parameter nprobe"):
        retriever(tmp_path, nprobe=4).search(QUERIES, 10)


def test_fewer_rows_than_k(tmp_path: Path) -> None:
    found = retriever(build(tmp_path, "Flat", VECTORS[:5])).search(QUERIES, 8)
    assert (found.ids[:, :5] >= 0).all()
    assert (found.ids[:, 5:] == -1).all()
    assert (found.scores[:, 5:] == -np.inf).all()


def test_a_folder_index_with_its_lists_in_another_file(tmp_path: Path) -> None:
    folder = build(tmp_path / "pool", "IVF16,Flat")
    (folder / "image.index").unlink()
    target = folder / "image.index"
    target.mkdir()
    index = faiss.index_factory(32, "IVF16,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    empty = str(tmp_path / "trained.index")
    faiss.write_index(index, empty)
    index.add(VECTORS)
    block = str(tmp_path / "block.index")
    faiss.write_index(index, block)
    from faiss.contrib.ondisk import merge_ondisk

    merged = faiss.read_index(empty)
    merge_ondisk(merged, [block], str(target / "merged_index.ivfdata"))
    faiss.write_index(merged, str(target / "populated.index"))
    del merged
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    mine = retriever(moved, nprobe=16)
    np.testing.assert_array_equal(mine.search(QUERIES, 10).ids, exact(moved, 10))
    assert mine.pool_size().bytes > VECTORS.nbytes


def to_arrow(folder: Path) -> None:
    (folder / "metadata" / "more").mkdir()
    for name, target in (("0", "0"), ("1", "1"), ("2", "more/2")):
        file = folder / "metadata" / f"metadata_00{name}.parquet"
        table = pq.read_table(file)
        with pa.ipc.new_file(folder / "metadata" / f"{target}.arrow", table.schema) as writer:
            writer.write_table(table)
        file.unlink()


def to_hdf5(
    folder: Path, name: str = "metadata.hdf5", order: NDArray[np.int64] | None = None
) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `hdf5` is not installed")
    table = pq.read_table(folder / "metadata").to_pydict()
    with h5py.File(folder / name, "w") as file:
        group = file.create_group("dataset")
        for column, values in table.items():
            data = np.array(values, object)
            data = data if order is None else data[order]
            group.create_dataset(column, data=data, compression="gzip", dtype=h5py.string_dtype())
    shutil.rmtree(folder / "metadata")


def to_reordered(folder: Path) -> None:
    old_to_new = np.random.default_rng(0).permutation(len(VECTORS)).astype(np.int64)
    to_hdf5(folder, "metadata_reordered.hdf5", np.argsort(old_to_new))
    (folder / "ivf_old_to_new_mapping.npy").write_bytes(old_to_new.tobytes())


@pytest.mark.parametrize("convert", [to_arrow, to_hdf5, to_reordered])
def test_metadata_in_every_form(tmp_path: Path, convert: Any) -> None:
    folder = build(tmp_path, "Flat")
    convert(folder)
    mine = retriever(folder, recall_sample=0)
    assert (mine.search(QUERIES, 3).ids >= 0).all()
    ids = np.array([1999, 0, 700, 1, 700], np.int64)
    table = mine.lookup(ids)
    assert table["url"].to_pylist() == [f"http://pool/{row}" for row in ids]
    assert table["caption"].to_pylist() == [f"row {row}" for row in ids]
    with pytest.raises(DataError, match="row 2000 requested, but there are 2000"):
        mine.lookup(np.array([2000], np.int64))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda order: order.tobytes()[:-3], r"mapping\.npy: truncated"),
        (lambda order: (order + 1).tobytes(), r"reordered\.hdf5: its order names rows that it"),
        (lambda order: order[:-1].tobytes(), r"reordered\.hdf5: its columns and their order"),
    ],
)
def test_a_wrong_order_of_the_metadata_is_named(tmp_path: Path, spoil: Any, message: str) -> None:
    folder = build(tmp_path, "Flat", VECTORS[:2000])
    to_reordered(folder)
    mapping = folder / "ivf_old_to_new_mapping.npy"
    mapping.write_bytes(spoil(np.fromfile(mapping, np.int64)))
    with pytest.raises(DataError, match=message):
        retriever(folder).lookup(np.arange(2000))


def test_damaged_hdf5_metadata_is_named(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    to_hdf5(folder)
    content = bytearray((folder / "metadata.hdf5").read_bytes())
    start = content.index(b"x\x9c") if b"x\x9c" in content else content.index(b"x^")
    content[start : start + 100] = b"\xff" * 100  # a chunk that gzip wrote
    (folder / "metadata.hdf5").write_bytes(content)
    with pytest.raises(DataError, match=r"metadata\.hdf5: damaged HDF5 file"):
        retriever(folder).lookup(np.arange(2000))


def test_a_pool_of_copies_is_sound(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat", np.repeat(VECTORS[:20], 100, axis=0))
    found = retriever(folder).search(QUERIES, 100)  # all copies of one vector
    assert (np.diff(found.ids, axis=1)[np.diff(found.scores, axis=1) == 0] > 0).all()
    assert (found.ids >= 0).all()


def test_texts_are_not_compared_with_the_vectors_of_images(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    (folder / "image.index").rename(folder / "text.index")
    mine = retriever(folder, modality="text")
    assert (mine.search(QUERIES, 3).ids >= 0).all()
    assert mine.facts() == {"vouched": False}


def test_other_metadata_is_another_pool(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    before = retriever(folder).identity()
    assert retriever(folder).identity() == before
    (folder / "metadata" / "metadata_002.parquet").write_bytes(b"other")
    assert retriever(folder).identity() != before


def test_rows_that_do_not_fit(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    (folder / "metadata" / "metadata_002.parquet").unlink()
    with pytest.raises(DataError, match=r"image\.index: 2000 vectors, but 133\d rows of metadata"):
        retriever(folder).search(QUERIES, 3)


def test_another_dimension(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image\.index: vectors of dimension 32, .* have 16"):
        retriever(build(tmp_path, "Flat")).search(random_unit(2, 16), 3)


def test_rows_that_do_not_find_themselves(tmp_path: Path) -> None:
    folder = build(tmp_path, "IVF64,Flat")
    index = faiss.read_index(str(folder / "image.index"))
    cells = faiss.downcast_index(index.quantizer)
    cells.reset()
    cells.add(random_unit(64, 32, seed=9))  # the rows now lie in the wrong cells
    faiss.write_index(index, str(folder / "image.index"))
    with pytest.raises(DataError, match="of its own rows do not find themselves"):
        retriever(folder).search(QUERIES, 3)


def test_an_index_by_distance_is_refused(tmp_path: Path) -> None:
    folder = write_pool(tmp_path, VECTORS)
    index = faiss.IndexFlatL2(32)
    index.add(VECTORS)
    faiss.write_index(index, str(folder / "image.index"))
    with pytest.raises(DataError, match="by inner product is needed"):
        retriever(folder).search(QUERIES, 3)


def test_vectors_not_of_length_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its vectors are not of length 1, but 3"):
        retriever(build(tmp_path, "Flat", VECTORS * 3)).search(QUERIES, 3)


def test_a_truncated_index_and_none(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    file = folder / "image.index"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"image\.index: incomplete, or not a faiss index"):
        retriever(folder).search(QUERIES, 3)
    file.unlink()
    with pytest.raises(DataError, match=r"image\.index: there is no such index"):
        retriever(folder).search(QUERIES, 3)


def test_vectors_are_those_beside_the_index(tmp_path: Path) -> None:
    mine = retriever(build(tmp_path, "IVF32,SQ8"))
    rows = np.array([1999, 3, 700], np.int64)
    assert mine.has_vectors()
    np.testing.assert_allclose(mine.vectors(rows), VECTORS[rows], atol=1e-6)


@pytest.mark.parametrize("factory", ["Flat", "IVF32,SQ8", "HNSW16"])
def test_an_index_alone_reconstructs_its_vectors(tmp_path: Path, factory: str) -> None:
    folder = build(tmp_path, factory)
    shutil.rmtree(folder / "img_emb")
    mine = retriever(folder)
    rows = np.array([1999, 3, 700], np.int64)
    assert mine.has_vectors()
    found = mine.vectors(rows)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (np.einsum("nd,nd->n", found, VECTORS[rows]) > 0.99).all()
    assert mine.vectors(rows[:0]).shape == (0, 32)


def test_an_index_that_cannot_reconstruct_has_no_vectors(tmp_path: Path) -> None:
    folder = build(tmp_path, "Flat")
    shutil.rmtree(folder / "img_emb")
    index = faiss.IndexIDMap(faiss.IndexFlatIP(VECTORS.shape[1]))
    index.add_with_ids(VECTORS, np.arange(len(VECTORS)))
    faiss.write_index(index, str(folder / "image.index"))
    mine = retriever(folder)
    assert not mine.has_vectors()
    with pytest.raises(DataError, match="cannot reconstruct its vectors"):
        mine.vectors(np.array([0], np.int64))
