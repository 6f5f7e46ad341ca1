"""Pools altered at random: one line that says what is wrong, or exactly the right rows."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hostile_pools import Found, alter, on_disk, searched
from hypothesis import given, settings
from hypothesis import strategies as st
from indexed import indexed, write_pictures

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.errors import LaionEOError
from laion_eo.kinds import Retriever
from laion_eo.testing import random_unit, write_pool

QUERIES = {dim: random_unit(4, dim, seed=1) for dim in (16, 49)}


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pool of ours and one of a third party, of three files each."""
    folder = tmp_path_factory.mktemp("pools")
    pictures = write_pictures(folder / "pictures", broken=(3,))
    indexed(pictures, folder / "ours")
    write_pool(folder / "theirs", random_unit(25, 16).astype(np.float16), shards=3)
    return {name: folder / name for name in ("ours", "theirs")}


def attempt(kind: type[Retriever], option: str, pool: Path, dim: int) -> Found | str:
    """Search a pool; return what was found, or the line that says why not."""
    try:
        return searched(kind, {option: str(pool)}, QUERIES[dim])
    except LaionEOError as error:
        line = str(error)
        assert line.strip()
        assert "\n" not in line, line
        return line


def check(
    kind: type[Retriever], option: str, source: Path, data: st.DataObject, times: int
) -> None:
    """Alter a copy of a pool, search it, and compare."""
    dim = 49 if source.name == "ours" else 16
    with TemporaryDirectory() as folder:
        pool = Path(folder) / "pool"
        shutil.copytree(source, pool)
        for _ in range(times):
            alter(pool, data.draw)
        found = attempt(kind, option, pool, dim)
        if isinstance(found, str):
            return
        wanted = (
            attempt(kind, option, source, dim) if found.vouched else on_disk(pool, QUERIES[dim])
        )
        assert not isinstance(wanted, str)
        found.assert_same(wanted)


@pytest.mark.parametrize("name", ["ours", "theirs"])
@given(data=st.data(), times=st.integers(1, 3))
def test_exact_scan(name: str, pools: dict[str, Path], data: st.DataObject, times: int) -> None:
    check(ExactScan, "pool", pools[name], data, times)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ours", "theirs"])
@settings(max_examples=500)
@given(data=st.data(), times=st.integers(1, 3))
def test_exact_scan_often(
    name: str, pools: dict[str, Path], data: st.DataObject, times: int
) -> None:
    check(ExactScan, "pool", pools[name], data, times)
