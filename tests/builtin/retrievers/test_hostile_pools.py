"""Pools altered at random: one line that says what is wrong, or exactly the right rows."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hostile_pools import Found, alter, on_disk, rows_on_disk, searched
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from indexed import indexed, write_pictures

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.faiss import FaissIndex
from laion_eo.errors import LaionEOError
from laion_eo.kinds import Retriever
from laion_eo.pools.faiss_build import build_faiss
from laion_eo.testing import random_unit, write_pool

DIMS = {"ours": 49, "theirs": 16}
OPTIONS: dict[type[Retriever], str] = {ExactScan: "pool", FaissIndex: "index"}

needs_faiss = pytest.mark.skipif(not find_spec("faiss"), reason="the extra `faiss` is missing")
approximate = pytest.param(FaissIndex, marks=needs_faiss)
retrievers = pytest.mark.parametrize("kind", [ExactScan, approximate])
names = pytest.mark.parametrize("name", DIMS)
altered = given(data=st.data(), times=st.integers(1, 3))
# Of an altered pool, the smallest alteration that fails takes minutes to find.
QUICK = settings(
    phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pool of ours and one of a third party, of three files each."""
    folder = tmp_path_factory.mktemp("pools")
    indexed(write_pictures(folder / "pictures", broken=(3,)), folder / "ours")
    write_pool(folder / "theirs", random_unit(25, 16).astype(np.float16), shards=3)
    if find_spec("faiss"):
        for name in DIMS:
            build_faiss(folder / name)
    return {name: folder / name for name in DIMS}


def attempt(kind: type[Retriever], pool: Path, dim: int) -> Found | None:
    """Search a pool; ``None`` if it is refused in one line."""
    try:
        return searched(kind, {OPTIONS[kind]: str(pool)}, random_unit(4, dim, seed=1))
    except LaionEOError as error:
        line = str(error)
        assert line.strip()
        assert "\n" not in line, line
        return None


def check(kind: type[Retriever], sound: Path, data: st.DataObject, times: int) -> None:
    """Alter a copy of a pool, search it, and compare."""
    dim = DIMS[sound.name]
    with TemporaryDirectory() as folder:
        pool = Path(folder) / "pool"
        shutil.copytree(sound, pool)
        for _ in range(times):
            alter(pool, data.draw)
        found = attempt(kind, pool, dim)
        if found is None:
            return
        if found.vouched:
            wanted = attempt(kind, sound, dim)
            assert wanted is not None
        elif kind is ExactScan:
            wanted = on_disk(pool, random_unit(4, dim, seed=1))
        else:  # the index alone says which rows are near
            wanted = Found(found.ids, found.scores, rows_on_disk(pool))
        found.assert_same(wanted)


@retrievers
@names
@QUICK
@altered
def test_refused_or_right(
    kind: type[Retriever],
    name: str,
    pools: dict[str, Path],
    data: st.DataObject,
    times: int,
) -> None:
    check(kind, pools[name], data, times)


@pytest.mark.slow
@retrievers
@names
@settings(QUICK, max_examples=500)
@altered
def test_refused_or_right_500_times(
    kind: type[Retriever],
    name: str,
    pools: dict[str, Path],
    data: st.DataObject,
    times: int,
) -> None:
    check(kind, pools[name], data, times)
