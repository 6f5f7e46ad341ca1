"""Pools of every format, on this disk and behind a URL, give what the plain one gives."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.exact_scan.readers import READERS
from laion_eo.builtin.retrievers.storage import Folder
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.testing import random_unit, write_pool

VECTORS = random_unit(500, 32).astype(np.float16)
QUERIES = random_unit(7, 32, seed=1)
CUTS = (0, 120, 130, 500)


def scan(pool: object, **options: object) -> ExactScan:
    config = ExactScan.Config.model_validate({"pool": str(pool), "shard_rows": 170, **options})
    return ExactScan(config, Context())


def table(start: int, stop: int) -> pa.Table:
    rows = [str(row) for row in range(start, stop)]
    return pa.table({"uid": rows, "url": [f"http://pool/{row}" for row in rows], "text": rows})


def datacomp(folder: Path, metadata: bool = True) -> None:
    for start, stop in itertools.pairwise(CUTS):
        other = random_unit(stop - start, 16).astype(np.float16)
        arrays = {"b32_img": other, "l14_img": VECTORS[start:stop]}
        np.savez_compressed(folder / f"{start:04d}.npz", **arrays)  # type: ignore[arg-type]
        if metadata:
            pq.write_table(table(start, stop), folder / f"{start:04d}.parquet")


def clickhouse(folder: Path) -> None:
    for start, stop in itertools.pairwise(CUTS):
        vectors = pa.array(VECTORS[start:stop].astype(np.float32).tolist(), pa.list_(pa.float32()))
        whole = table(start, stop).append_column("image_embedding", vectors)
        pq.write_table(whole, folder / f"{start:04d}.parquet", row_group_size=50)


def sisap(folder: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `hdf5` is not installed")
    with h5py.File(folder / "laion2B.h5", "w") as file:
        file["emb"] = VECTORS


def clip_retrieval(folder: Path) -> None:
    write_pool(folder, VECTORS, shards=3)


@pytest.mark.parametrize("write", [datacomp, clickhouse, sisap, clip_retrieval])
def test_the_same_neighbours_from_every_format(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    write(folder)
    expected = scan(write_pool(tmp_path / "plain", VECTORS)).search(QUERIES, 20)
    mine = scan(folder)
    assert mine.shards() == 3
    found = mine.search(QUERIES, 20)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)
    rows = np.array([499, 3, 125, 4, 119, 120, 0], np.int64)
    wide = VECTORS[rows].astype(np.float64)
    unit = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    assert mine.has_vectors()
    np.testing.assert_array_equal(mine.vectors(rows), unit)
    assert mine.vectors(rows[:0]).shape == (0, 32)
    with pytest.raises(DataError, match="no row 500; there are 500"):
        mine.vectors(np.array([500], np.int64))
    if write is not sisap:
        ids = np.array([499, 125, 0], np.int64)
        urls = [f"http://pool/{row}" for row in ids]
        assert mine.lookup(ids)["url"].to_pylist() == urls


def test_a_pool_behind_a_url(tmp_path: Path) -> None:
    plain = write_pool(tmp_path / "pool", VECTORS, shards=3)
    memory = fsspec.filesystem("memory")
    memory.put(str(plain), "/a/pool", recursive=True)
    far = scan("memory://a/pool")
    expected = scan(plain).search(QUERIES, 20)
    np.testing.assert_array_equal(far.search(QUERIES, 20).ids, expected.ids)
    rows = np.array([130, 7], np.int64)
    np.testing.assert_array_equal(far.vectors(rows), scan(plain).vectors(rows))
    assert far.lookup(np.array([499], np.int64))["url"].to_pylist() == ["http://pool/499"]
    before = far.identity()
    memory.pipe("/a/pool/img_emb/img_emb_002.npy", b"\x93NUMPY")
    with pytest.raises(
        DataError, match=r"memory://.*img_emb_002\.npy: incomplete, or not a \.npy file"
    ):
        scan("memory://a/pool").search(QUERIES, 20)
    memory.pipe("/a/pool/img_emb/img_emb_002.npy", b"")
    assert before
    with pytest.raises(DataError, match="nosuch://x: cannot be listed"):
        scan("nosuch://x").pool_size()


def test_metadata_elsewhere(tmp_path: Path) -> None:
    plain = write_pool(tmp_path / "plain", VECTORS)
    folder = tmp_path / "pool"
    folder.mkdir()
    datacomp(folder, metadata=False)
    ids = np.array([3], np.int64)
    with pytest.raises(DataError, match="no metadata; name its folder with `metadata`"):
        scan(folder).lookup(ids)
    named = scan(folder, metadata=str(plain))
    assert named.lookup(ids)["url"].to_pylist() == ["http://pool/3"]


def test_a_file_that_a_web_server_withholds_is_named(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, VECTORS, shards=3)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

        def do_GET(self) -> None:
            if self.path.endswith("001.npy"):
                self.send_error(500)
            else:
                super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=pool)) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            # The listing names no sizes; without them, every file would look truncated.
            sizes = [stored.size for stored in Folder(url).files("img_emb", [".npy"])]
            with pytest.raises(DataError, match=rf"{url}/img_emb/img_emb_001\.npy: .*500"):
                scan(url).pool_size()
        finally:
            server.shutdown()
    assert sizes == [file.stat().st_size for file in sorted((pool / "img_emb").iterdir())]


def test_one_file_without_its_metadata_is_named(tmp_path: Path) -> None:
    datacomp(tmp_path)
    (tmp_path / "0120.parquet").unlink()
    with pytest.raises(DataError, match=r"0120\.npz: no 0120\.parquet beside it"):
        scan(tmp_path).pool_size()


def test_an_array_by_its_name(tmp_path: Path) -> None:
    datacomp(tmp_path)
    with pytest.raises(DataError, match=r"0000\.npz: vectors of dimension 16"):
        scan(tmp_path, key="b32_img").search(QUERIES, 3)
    with pytest.raises(DataError, match=r"no array 'h14'; it has b32_img, l14_img"):
        scan(tmp_path, key="h14").search(QUERIES, 3)


def test_vectors_of_other_lengths_are_scaled_when_asked(tmp_path: Path) -> None:
    longer = write_pool(tmp_path / "longer", VECTORS.astype(np.float32) * 7, shards=2)
    with pytest.raises(DataError, match=r"img_emb_000\.npy: .* set normalize = true"):
        scan(longer).search(QUERIES, 9)
    found = scan(longer, normalize=True).search(QUERIES, 9)
    plain = scan(write_pool(tmp_path / "plain", VECTORS.astype(np.float32)))
    expected = plain.search(QUERIES, 9)
    assert (found.ids == expected.ids).mean() > 0.9
    zero = VECTORS.copy()
    zero[77] = 0
    with pytest.raises(DataError, match="row 77 has length nan"):
        scan(write_pool(tmp_path / "zero", zero), normalize=True).search(QUERIES, 9)


def test_lists_of_uneven_length_in_parquet(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 0.0], [1.0], [0.0, 1.0]], pa.list_(pa.float32()))
    whole = table(0, 3).append_column("emb", vectors)
    pq.write_table(whole, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: damaged \.parquet file: .*lengths than 2"):
        scan(tmp_path).search(np.eye(2, dtype=np.float32), 1)
    missing = pa.array([None, [1.0, 0.0], [0.0, 1.0]], pa.list_(pa.float32()))
    pq.write_table(table(0, 3).append_column("emb", missing), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: .*no vector in the first row of 'emb'"):
        scan(tmp_path).search(np.eye(2, dtype=np.float32), 1)


def test_a_compressed_file_with_other_bytes_inside_is_named(tmp_path: Path) -> None:
    datacomp(tmp_path)
    file = tmp_path / "0130.npz"
    content = bytearray(file.read_bytes())
    start = content.index(b"l14_img.npy") + 400
    content[start : start + 2000] = b"\xff" * 2000  # no valid deflate block
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"0130\.npz: .* while decompressing"):
        scan(tmp_path).search(QUERIES, 3)


def test_headers_are_read_in_several_threads(tmp_path: Path) -> None:
    """Python 3.11 mixes up two syntax trees that are built at the same time.

    It does so where one thread is interrupted while it builds one; here that happens at every
    collection of garbage.
    """
    pool = write_pool(tmp_path, VECTORS)
    (file,) = Folder(str(pool)).files("img_emb", [".npy"])
    wanted, done, ended = threading.Event(), threading.Event(), threading.Event()
    reading = threading.current_thread()

    def read_whenever_wanted() -> None:
        while wanted.wait() and not ended.is_set():
            wanted.clear()
            READERS[".npy"](file, None)
            done.set()

    def interrupt(phase: str, info: object) -> None:
        if threading.current_thread() is reading and phase == "start":
            done.clear()
            wanted.set()
            done.wait(0.002)

    other = threading.Thread(target=read_whenever_wanted)
    other.start()
    before = gc.get_threshold()
    gc.callbacks.append(interrupt)
    gc.set_threshold(10)
    try:
        assert READERS[".npy"](file, None).rows == len(VECTORS)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(interrupt)
        ended.set()
        wanted.set()
        other.join()


def test_no_cuda_is_said(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    pool = write_pool(tmp_path, VECTORS)
    with pytest.raises(ConfigError, match="device 'cuda'"):
        scan(pool, device="cuda").search(QUERIES, 3)


@pytest.mark.gpu
def test_cuda_gives_the_same(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, VECTORS)
    mine, plain = scan(pool, device="cuda"), scan(pool, device="cpu")
    found, expected = mine.search(QUERIES, 50), plain.search(QUERIES, 50)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)
