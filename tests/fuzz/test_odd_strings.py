"""One caption that is not UTF-8 stops no run: it is replaced, counted, and published as such."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from knn_server import serve_knn
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan.component import ExactScan
from laion_eo.kinds import KINDS
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.texts import LONGEST, raw_texts
from laion_eo.types import JSON

RETRIEVER = next(kind for kind in KINDS if kind.name == "retriever")
ODD: dict[int, bytes] = {0: b"caf\xe9", 1: b"a\0b \x1b[2J", 2: b"\xed\xa0\x80", 3: b"a" * 10**6}
SHOWN = {0: "caf\ufffd", 1: "a\ufffdb \ufffd[2J", 2: "\ufffd", 3: "a" * (LONGEST - 1) + "…"}


def odd_column(captions: list[str | None]) -> pa.Array:
    """The captions, with odd ones in place of the first."""
    return raw_texts([ODD.get(row, caption) for row, caption in enumerate(captions)])


def captions(result: RunResult) -> dict[int, str | None]:
    table = RunDir(result.folder).read("candidates")
    return dict(zip(table["id"].to_pylist(), table["caption"].to_pylist(), strict=True))


def check(result: RunResult, pool: Path) -> None:
    """Odd captions are replaced and counted, the others unchanged, and all is published."""
    stored = pq.read_table(pool / "metadata")
    good = dict(enumerate(stored["caption"].to_pylist()))
    found = captions(result)
    assert found == {row: SHOWN.get(row, good[row]) for row in found}
    odd = set(SHOWN) & set(found)
    assert odd == set(SHOWN)
    assert result.manifest["stages"]["candidates"]["counts"]["repaired_texts"] == len(odd)
    (file,) = (result.dataset / "ver-0").glob("*.parquet")
    published = pq.read_table(file)
    published.validate(full=True)
    by_id = zip(published["id"].to_pylist(), published["caption"].to_pylist(), strict=True)
    assert all(found[row] == caption for row, caption in by_id)
    assert not pc.any(pc.match_substring_regex(published["caption"], r"[\x00-\x08\x1b]")).as_py()


def odd_pool(pool: Path, folder: Path, write: Callable[[pa.Table, Path], None]) -> Path:
    """A copy of a pool with odd captions."""
    shutil.copytree(pool / "img_emb", folder / "img_emb")
    (folder / "metadata").mkdir()
    table = pq.read_table(pool / "metadata")
    column = odd_column(table["caption"].to_pylist())
    place = table.schema.get_field_index("caption")
    write(table.set_column(place, "caption", column), folder / "metadata")
    return folder


def as_parquet(table: pa.Table, folder: Path) -> None:
    pq.write_table(table, folder / "0.parquet")


def as_binary(table: pa.Table, folder: Path) -> None:
    place = table.schema.get_field_index("caption")
    column = table["caption"].cast(pa.large_binary())
    pq.write_table(table.set_column(place, "caption", column), folder / "0.parquet")


def as_arrow(table: pa.Table, folder: Path) -> None:
    with (
        pa.OSFile(str(folder / "0.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as to,
    ):
        to.write_table(table)


def as_hdf5(table: pa.Table, folder: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `hdf5` is not installed")
    folder.rmdir()
    with h5py.File(folder.with_suffix(".hdf5"), "w") as file:
        group = file.create_group("dataset")
        for name in ("url", "caption"):
            kind = h5py.string_dtype()
            # HDF5's strings end at the first NUL.
            stored = [
                bytes(v or b"").replace(b"\0", b"\1")
                for v in table[name].cast(pa.large_binary()).to_pylist()
            ]
            group.create_dataset(name, data=np.array(stored, dtype=object), dtype=kind)


@pytest.mark.parametrize("write", [as_parquet, as_binary, as_arrow, as_hdf5])
def test_a_pool_with_odd_captions(
    write: Callable[[pa.Table, Path], None],
    run_data: dict[str, JSON],
    pool: Path,
    registry: Registry,
    tmp_path: Path,
) -> None:
    run_data["retriever"] |= {"pool": str(odd_pool(pool, tmp_path / "pool", write)), "k": 60}
    check(run(run_data, tmp_path / "run", (), registry), pool)


def test_a_service_with_odd_captions_also_after_it_failed(
    run_data: dict[str, JSON], pool: Path, registry: Registry, tmp_path: Path
) -> None:
    table = pq.read_table(pool / "metadata")
    urls, texts = table["url"].to_pylist(), dict(enumerate(table["caption"].to_pylist()))
    # What JSON can say of them: bytes that are not UTF-8, escaped surrogates and controls.
    said = {row: json.dumps(caption).encode() for row, caption in texts.items()}
    said |= {0: b'"caf\xe9"', 1: b'"a\\u0000b \\u001b[2J"', 2: b'"\\ud800"', 3: b'"%s"' % ODD[3]}
    vectors = np.concatenate([np.load(f) for f in sorted((pool / "img_emb").glob("*.npy"))])
    broken = True

    def metadata(path: str, body: Any, count: int) -> tuple[int, str, bytes] | None:
        if path != "/metadata":
            return None
        rows = [
            b'{"id": %d, "metadata": {"url": %s, "caption": %s}}'
            % (row, json.dumps(urls[row]).encode(), said[row])
            for row in body["ids"]
        ]
        rows = rows[:-1] if broken else rows
        return 200, "application/json", b"[%s]" % b",".join(rows)

    with serve_knn(vectors.astype(np.float32)) as server:
        server.spoil = metadata
        run_data["retriever"] = {"use": "knn-service", "url": server.url, "index": "small",
                                 "k": 60, "retries": 0}  # fmt: skip
        with pytest.raises(Exception, match="no metadata for id"):
            run(run_data, tmp_path / "run", (), registry)
        broken = False
        result = run(run_data, tmp_path / "run", (), registry)
    check(result, pool)


class Odd(ExactScan):
    """A third-party retriever that knows nothing of all this."""

    name = "odd"
    summary = "odd captions and URLs"

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        table = super().lookup(ids)
        odd = [
            ODD.get(row, text) for row, text in zip(ids, table["caption"].to_pylist(), strict=True)
        ]
        bad = {4: "http://127.0.0.1/\0.png", 5: b"http://127.0.0.1/\xff.png", 6: None}
        urls = [bad.get(row, url) for row, url in zip(ids, table["url"].to_pylist(), strict=True)]
        return pa.table({"caption": raw_texts(odd), "url": raw_texts(urls)})


def test_a_plugin_with_odd_captions_and_urls(
    run_data: dict[str, JSON], pool: Path, registry: Registry, tmp_path: Path
) -> None:
    registry.add_component(RETRIEVER, Odd)
    run_data["retriever"] |= {"use": "odd", "k": 60}
    result = run(run_data, tmp_path / "run", (), registry)
    check(result, pool)
    assert result.manifest["stages"]["candidates"]["counts"]["invalid_urls"] == 2
    downloads = RunDir(result.folder).read("downloads").to_pylist()
    failed = {row["url"]: row["status"] for row in downloads if row["filename"] is None}
    assert failed == {
        "about:invalid#http://127.0.0.1/%00.png": "bad-url",
        "about:invalid#http://127.0.0.1/%FF.png": "bad-url",
        "": "bad-url",
    }
