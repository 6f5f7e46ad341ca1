from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from indexed import indexed, write_pictures

from laion_eo.builtin.retrievers.faiss import FaissIndex
from laion_eo.cli import cli
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.pools.checking import pool_faults
from laion_eo.pools.faiss_build import build_faiss, choose_factory
from laion_eo.registry import Registry
from laion_eo.testing import colours, random_unit, write_pool

VECTORS = random_unit(1000, 16)


@pytest.mark.parametrize(
    ("rows", "factory"),
    [
        (50_000, "Flat"),
        (1_000_000, "IVF4000,SQ8"),
        (100_000_000, "OPQ64_384,IVF40000,PQ64x8"),
    ],
)
def test_the_form_fits_the_size(rows: int, factory: str) -> None:
    assert choose_factory(rows, 768) == factory


@pytest.mark.parametrize("rows", [1_000, 1_000_000, 100_000_000])
def test_faiss_knows_the_forms(rows: int) -> None:
    faiss: Any = pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    index = faiss.index_factory(768, choose_factory(rows, 768), faiss.METRIC_INNER_PRODUCT)
    assert index.d == 768


def test_an_odd_dimension_is_not_cut_into_codes() -> None:
    assert choose_factory(100_000_000, 767) == "IVF40000,SQ8"


@pytest.mark.parametrize(
    ("factory", "least"), [(None, 1.0), ("IVF16,SQ8", 0.9), ("PCA8,IVF16,PQ8x4", 0.2)]
)
def test_what_is_built_is_found_in(tmp_path: Path, factory: str | None, least: float) -> None:
    faiss: Any = pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    pool = write_pool(tmp_path, VECTORS.astype(np.float16), shards=3)
    assert build_faiss(pool, factory) == (factory or "Flat")
    assert faiss.read_index(str(pool / "image.index")).ntotal == 1000
    nprobe = 16 if factory else None
    config = FaissIndex.Config.model_validate({"index": str(pool), "nprobe": nprobe})
    mine = FaissIndex(config, Context())
    mine.search(VECTORS[:50], 10)
    assert least <= float(mine.facts()["recall_at_k"])


def test_the_command_builds_an_index_that_is_searched(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    found = Registry.discover([colours])
    monkeypatch.setattr(Registry, "discover", lambda: found)
    out = tmp_path / "pool"
    args = ["index", str(web), "--out", str(out), "--embedder", "colours", "--faiss"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    assert "image.index: Flat" in result.output
    assert f'use = "faiss", index = "{out}"' in result.output
    mine = FaissIndex(FaissIndex.Config.model_validate({"index": str(out)}), Context())
    vectors = np.concatenate([np.load(file) for file in sorted((out / "img_emb").iterdir())])
    queries = vectors[:9].astype(np.float32)
    mine.search(queries / np.linalg.norm(queries, axis=1, keepdims=True), 5)
    assert mine.facts()["recall_at_k"] == 1.0


def test_the_record_vouches_for_the_index(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    pictures, pool = write_pictures(tmp_path / "pictures"), tmp_path / "pool"
    indexed(pictures, pool)

    def found() -> FaissIndex:
        mine = FaissIndex(FaissIndex.Config.model_validate({"index": str(pool)}), Context())
        mine.check()
        mine.search(random_unit(3, 49), 5)
        return mine

    build_faiss(pool)
    assert found().facts()["vouched"] is True
    assert indexed(pictures, pool).embedded == 0  # it stays, as no vector has changed
    assert found().facts()["vouched"] is True
    (pool / "image.index").write_bytes((pool / "image.index").read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"image\.index: its content has changed"):
        found()
    indexed(pictures, pool)
    with pytest.raises(DataError, match=r"image\.index: there is no such index"):
        found()
    build_faiss(pool)
    (pictures / "24.png").unlink()
    indexed(pictures, pool)
    with pytest.raises(DataError, match=r"image\.index: there is no such index"):
        found()
    assert pool_faults(pool, thorough=True) == []


def test_nothing_vouches_for_an_index_of_a_third_party(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    pool = tmp_path / "pool"
    indexed(write_pictures(tmp_path / "pictures"), pool)
    before = (pool / "index.json").read_bytes()
    build_faiss(pool)
    (pool / "index.json").write_bytes(before)
    mine = FaissIndex(FaissIndex.Config.model_validate({"index": str(pool)}), Context())
    mine.check()
    mine.search(random_unit(3, 49), 5)
    assert mine.facts()["vouched"] is False


def test_without_faiss_the_command_says_what_to_install(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    args = ["index", str(web), "--out", str(tmp_path / "pool"), "--faiss"]
    result = CliRunner().invoke(cli, args)
    assert isinstance(result.exception, ConfigError)
    assert 'index --faiss: pip install "laion-eo[faiss]" first' in str(result.exception)
    assert not (tmp_path / "pool").exists()  # said before anything is embedded
