from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from indexed import indexed, write_pictures

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.vouching import Vouched, is_searched
from laion_eo.component import Context
from laion_eo.errors import DataError
from laion_eo.pools.checking import pool_faults
from laion_eo.testing import random_unit, serve_folder, write_pool


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of three shards."""
    folder = tmp_path_factory.mktemp("sound")
    indexed(write_pictures(folder / "pictures", broken=(3,)), folder / "pool")
    return folder / "pool"


@pytest.fixture
def pool(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    shutil.copytree(sound, tmp_path / "pool")
    return tmp_path / "pool"


def scan(pool: Path | str, **options: object) -> ExactScan:
    config = ExactScan.Config.model_validate({"pool": str(pool), **options})
    return ExactScan(config, Context())


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    path.rename(path.parents[2] / "x")
    path.symlink_to("../../x")


NAMES = ["img_emb/img_emb_1.npy", "metadata/metadata_1.parquet", "skipped/skipped_1.parquet"]
HOWS: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped": spoil,
    "a link": link,
}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", NAMES)
def test_an_altered_file_is_refused_with_the_command_that_mends_it(
    name: str, how: str, pool: Path
) -> None:
    HOWS[how](pool / name)
    with pytest.raises(DataError, match=name) as caught:
        scan(pool).check()
    pictures = json.loads((pool / "index.json").read_text())["index"]["pool"]
    command = f"laion-eo index {pictures} --out {pool} --embedder colours"
    assert str(caught.value).startswith(f"{pool}/{name}: ")
    assert str(caught.value).endswith(f"This makes the pool again: {command}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", HOWS)
def test_a_search_that_was_not_checked_first_is_refused_too(how: str, pool: Path) -> None:
    """As on another machine of a cluster."""
    HOWS[how](pool / NAMES[0])
    with pytest.raises(DataError, match=NAMES[0]):
        scan(pool).search(random_unit(2, 49), 3)


def test_metadata_are_compared_before_they_are_handed_over(pool: Path) -> None:
    spoil(pool / NAMES[1])
    with pytest.raises(DataError, match=NAMES[1]):
        scan(pool).lookup(np.array([1], np.int64))


def test_a_shard_is_compared_with_its_own_files_alone(pool: Path) -> None:
    spoil(pool / "img_emb" / "img_emb_2.npy")
    mine = scan(pool, shard_rows=10)
    floor = np.full(2, -np.inf, np.float32)
    assert mine.search_shard(random_unit(2, 49), 3, 0, floor).ids.max() < 10
    with pytest.raises(DataError, match=r"img_emb_2\.npy: its content has changed"):
        mine.search_shard(random_unit(2, 49), 3, 2, floor)


def test_each_file_is_read_once_a_process(pool: Path) -> None:
    vouched = Vouched(str(pool))
    vouched.check()
    spoil(pool / NAMES[0])
    vouched.check()  # of another time; nobody reads terabytes twice
    with pytest.raises(DataError, match="its content has changed"):
        Vouched(str(pool)).check()


@pytest.mark.parametrize(
    "name",
    ["img_emb/img_emb_3.npy", "metadata/more.parquet", "metadata/a/b.arrow", "metadata.hdf5",
     "metadata_reordered.hdf5", "ivf_old_to_new_mapping.npy", "img_emb/IMG.NPY"],
)  # fmt: skip
def test_a_file_more_is_refused(name: str, pool: Path) -> None:
    (pool / name).parent.mkdir(exist_ok=True)
    shutil.copy(pool / NAMES[0], pool / name)
    with pytest.raises(DataError, match=f"{name}: it is not in the pool's record"):
        scan(pool).check()


@pytest.mark.parametrize("name", ["notes.txt", "image.index", "img_emb/.DS_Store", "extra/x.npy"])
def test_what_no_retriever_reads_is_let_be(name: str, pool: Path) -> None:
    assert not is_searched(name)
    (pool / name).parent.mkdir(exist_ok=True)
    (pool / name).write_bytes(b"any")
    scan(pool).check()


def test_an_incomplete_pool_is_refused(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "my pictures")
    indexed(pictures, tmp_path / "out", 12)
    message = (
        f"{tmp_path / 'out'}: incomplete: its indexing has not finished. This finishes it: "
        f"laion-eo index '{pictures}' --out {tmp_path / 'out'} --embedder colours"
    )
    with pytest.raises(DataError) as caught:
        scan(tmp_path / "out").check()
    assert str(caught.value) == message
    with pytest.raises(DataError) as caught:
        scan(tmp_path / "out").search(random_unit(2, 49), 3)
    assert str(caught.value) == message


def test_without_its_record_a_pool_of_ours_is_refused(pool: Path) -> None:
    (pool / "index.json").unlink()
    with pytest.raises(DataError, match=r"index\.json: it is gone, or the indexing has not fin"):
        scan(pool).check()


def test_one_that_an_older_version_did_not_finish_is_refused(pool: Path) -> None:
    (pool / "index.json").unlink()
    (pool / ".done" / "fingerprint").write_text("0123456789abcdef")
    with pytest.raises(DataError, match=r"`laion-eo index \.\.\. --out "):
        scan(pool).check()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"complete": true, "files": []}', "{}", '{"model_id": "m"}']
)
def test_a_damaged_record_is_refused(content: str, pool: Path) -> None:
    (pool / "index.json").write_text(content)
    with pytest.raises(DataError, match=r"index\.json: ") as caught:
        scan(pool).check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [NAMES[0], "index.json"])
def test_a_pipe_is_not_waited_for(name: str, pool: Path) -> None:
    (pool / name).unlink()
    os.mkfifo(pool / name)
    with pytest.raises(DataError, match=f"{name}: neither a file nor a folder"):
        scan(pool).check()
    assert pool_faults(pool, thorough=True) == [f"{name}: it is no file"]


def test_a_sound_pool_is_vouched_for(pool: Path) -> None:
    mine = scan(pool)
    mine.check()
    mine.search(random_unit(2, 49), 3)
    assert mine.facts()["vouched"] is True
    shutil.rmtree(pool / ".done")
    assert scan(pool).facts()["vouched"] is True


@pytest.mark.parametrize("about", [None, "{}", '{"model_id": "m", "dim": 16, "rows": 60}'])
def test_nothing_vouches_for_a_third_party_pool(about: str | None, tmp_path: Path) -> None:
    pool = write_pool(tmp_path, random_unit(60, 16), shards=2)
    if about is not None:
        (pool / "index.json").write_text(about)
    mine = scan(pool)
    mine.check()
    assert mine.search(random_unit(2, 16), 3).ids.shape == (2, 3)
    assert mine.facts()["vouched"] is False


def test_nothing_vouches_for_the_pool_of_an_older_version(pool: Path) -> None:
    (pool / ".done" / "fingerprint").write_text("0123456789abcdef")
    (pool / "index.json").write_text('{"model_id": "colours-1", "dim": 49, "rows": 24}')
    mine = scan(pool)
    mine.check()
    assert mine.facts() == {"vouched": False}


def test_metadata_from_elsewhere_are_not_vouched_for(pool: Path, tmp_path: Path) -> None:
    shutil.copytree(pool / "metadata", tmp_path / "other" / "metadata")
    mine = scan(pool, metadata=str(tmp_path / "other"))
    mine.check()
    assert mine.facts() == {"vouched": False}


def test_vectors_alone_do_not_hide_an_incomplete_pool(tmp_path: Path) -> None:
    indexed(write_pictures(tmp_path / "pictures"), tmp_path / "out", 12)
    mine = scan(tmp_path / "out" / "img_emb", metadata=str(tmp_path / "out"))
    with pytest.raises(DataError, match="out: incomplete"):
        mine.check()


def test_names_and_sizes_are_compared_elsewhere(pool: Path) -> None:
    """Contents are not: they would have to be fetched."""
    with serve_folder(pool) as url:
        mine = scan(url)
        mine.check()
        assert mine.facts() == {"vouched": True}
        spoil(pool / NAMES[0])
        scan(url).check()
        (pool / NAMES[0]).write_bytes((pool / NAMES[0]).read_bytes()[:-2])
        with pytest.raises(DataError, match=r"img_emb_1\.npy: it has [\d,]+ bytes instead of"):
            scan(url).check()
        (pool / "index.json").write_text("{}")
        with pytest.raises(DataError, match=r"index\.json: its content has changed"):
            scan(url).check()
