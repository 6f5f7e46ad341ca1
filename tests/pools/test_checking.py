from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from indexed import indexed, write_pictures

from laion_eo.builtin.retrievers.pool_record import PoolRecord, decode
from laion_eo.errors import DataError
from laion_eo.file_record import checksum_of, record_file
from laion_eo.pools.checking import pool_faults
from laion_eo.pools.faiss_build import build_faiss
from laion_eo.testing import random_unit, write_pool

VECTORS, METADATA = "img_emb/img_emb_1.npy", "metadata/metadata_1.parquet"
SKIPPED, SHARD, INDEX = "skipped/skipped_1.parquet", ".done/1.json", "index.json"
Alteration = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of three shards, two images skipped."""
    folder = tmp_path_factory.mktemp("sound")
    indexed(write_pictures(folder / "pictures", broken=(3, 12)), folder / "pool")
    return folder / "pool"


@pytest.fixture
def pool(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    shutil.copytree(sound, tmp_path / "pool")
    return tmp_path / "pool"


def edited(change: Callable[[bytearray], object]) -> Callable[[Path], object]:
    """Change some bytes of a file."""

    def edit(path: Path) -> None:
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)

    return edit


def flip(content: bytearray) -> None:
    content[len(content) * 2 // 3] ^= 1


def cut(content: bytearray) -> None:
    del content[-9:]


def zero(content: bytearray) -> None:
    content[:] = bytes(len(content))


def grow(content: bytearray) -> None:
    content.extend(b"\0")


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def into_link(path: Path) -> None:
    target = path.parents[2] / path.name
    shutil.copy(path, target)
    path.unlink()
    path.symlink_to(target)


ON_ANY_FILE: dict[str, Alteration] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": edited(cut),
    "zeroed": edited(zero),
    "one bit flipped": edited(flip),
    "grown": edited(grow),
    "a folder": into_folder,
    "a link": into_link,
}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, how) for name in (VECTORS, METADATA, SKIPPED, SHARD) for how in ON_ANY_FILE),
        *((INDEX, how) for how in ON_ANY_FILE if how != "a link"),
    ],
)
def test_an_altered_file_is_named(name: str, how: str, pool: Path) -> None:
    ON_ANY_FILE[how](pool / name)
    found = pool_faults(pool, thorough=False)
    assert [fault.partition(": ")[0] for fault in found][:1] == [name], found
    assert len(found) == 1 or how == "a link"


def edit_index(**values: Any) -> Alteration:
    """Write other values into index.json, the checksum as it was."""

    def edit(pool: Path) -> None:
        about = json.loads((pool / INDEX).read_text())
        (pool / INDEX).write_text(json.dumps(about | values))

    return edit


def forge(**values: Any) -> Alteration:
    """Write other values into index.json, with a checksum that fits."""

    def edit(pool: Path) -> None:
        about = json.loads((pool / INDEX).read_text()) | values
        del about["checksum"]
        (pool / INDEX).write_text(json.dumps({**about, "checksum": checksum_of(about)}))

    return edit


def without(*keys: str) -> Alteration:
    def edit(pool: Path) -> None:
        about = json.loads((pool / INDEX).read_text())
        (pool / INDEX).write_text(
            json.dumps({key: value for key, value in about.items() if key not in keys})
        )

    return edit


def replaced(name: str, write: Callable[[Path], object], rows: int | None = None) -> Alteration:
    """Replace a file, and make the records fit its bytes: only its inside is wrong."""

    def edit(pool: Path) -> None:
        record = decode((pool / INDEX).read_bytes())
        assert isinstance(record, PoolRecord)
        old = record.file(name)
        assert old is not None
        write(pool / name)
        new = record_file(pool, pool / name, old.rows if rows is None else rows)
        files = [new if file.path == name else file for file in record.files]
        (pool / INDEX).write_bytes(record.changed(files=files).encode())
        shutil.rmtree(pool / ".done")  # as in a copy without it

    return edit


def saved(change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return lambda path: np.save(path, change(np.load(path)))


def table(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    return lambda path: pq.write_table(change(pq.read_table(path)), path)


def with_row(value: float) -> Callable[[Any], Any]:
    def change(vectors: Any) -> Any:
        vectors[4] = value
        return vectors

    return change


def swap(one: str, other: str) -> Alteration:
    def edit(pool: Path) -> None:
        first, second = (pool / one).read_bytes(), (pool / other).read_bytes()
        (pool / one).write_bytes(second)
        (pool / other).write_bytes(first)

    return edit


def copy_to(name: str, target: str) -> Alteration:
    def edit(pool: Path) -> None:
        (pool / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pool / name, pool / target)

    return edit


def linked_folder(pool: Path) -> None:
    (pool / "img_emb").rename(pool.with_name("elsewhere"))
    (pool / "img_emb").symlink_to(pool.with_name("elsewhere"))


def linked_index(pool: Path) -> None:
    (pool / INDEX).rename(pool.with_name("elsewhere.json"))
    (pool / INDEX).symlink_to(pool.with_name("elsewhere.json"))


def moved_shard(pool: Path) -> None:
    for path in (VECTORS, METADATA, SKIPPED):
        (pool / path).rename(pool / path.replace("_1.", "_7."))


def other_index(pool: Path) -> None:
    faiss: Any = pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    build_faiss(pool)
    index = faiss.IndexFlatIP(49)
    index.add(random_unit(23, 49))
    faiss.write_index(index, str(pool / "image.index"))


ALTERATIONS: dict[str, tuple[Alteration, str]] = {
    "count of rows": (edit_index(rows=24), "index.json: its content has changed"),
    "count of skipped": (edit_index(skipped=0), "index.json: its content has changed"),
    "model": (edit_index(model_id="colours-2"), "index.json: its content has changed"),
    "dimension": (edit_index(dim=48), "index.json: its content has changed"),
    "a key more": (edit_index(before_re_laion=True), "index.json: its content has changed"),
    "no files": (edit_index(files=[]), "index.json: its content has changed"),
    "incomplete": (forge(complete=False), "index.json: incomplete"),
    "forged rows": (forge(rows=24), "index.json: 24 rows and 2 skipped, but files of"),
    "forged skipped": (forge(skipped=1), "index.json: 23 rows and 1 skipped, but files of"),
    "forged dimension": (forge(dim=48), "img_emb/img_emb_1.npy: float16 (9, 48) in the record"),
    "negative rows": (forge(rows=-1), "index.json: rows: "),
    "no checksum": (without("checksum"), "index.json: its content has changed"),
    "of a third party": (
        without("checksum", "complete", "files"),
        "index.json: it names no files; nothing vouches",
    ),
    "a list": (lambda pool: (pool / INDEX).write_text("[]"), "index.json: it is not an object"),
    "deep": (lambda pool: (pool / INDEX).write_text("[" * 10**6), "index.json: it is nested too"),
    "not UTF-8": (lambda pool: (pool / INDEX).write_bytes(b'{"a": "\xff"}'), "index.json: it is"),
    "vectors more": (copy_to(VECTORS, "img_emb/img_emb_3.npy"), "img_emb/img_emb_3.npy: it is not"),
    "metadata more": (copy_to(METADATA, "metadata/x.parquet"), "metadata/x.parquet: it is not in"),
    "deeper": (copy_to(METADATA, "metadata/a/b.arrow"), "metadata/a/b.arrow: it is not in"),
    "hidden": (copy_to(METADATA, "img_emb/.hidden"), "img_emb/.hidden: it is not in the pool's"),
    "HDF5 beside": (copy_to(VECTORS, "metadata_reordered.hdf5"), "metadata_reordered.hdf5: it is"),
    "a record more": (copy_to(SHARD, ".done/3.json"), ".done/3.json: it is not in the pool's"),
    "a piece left": (
        copy_to(SHARD, ".done/pieces/0-4-0-0.piece"),
        ".done/pieces/0-4-0-0.piece: a piece of a shard that is not finished",
    ),
    "a temporary file": (
        copy_to(VECTORS, "img_emb/img_emb_1.npy.7.working"),
        "img_emb/img_emb_1.npy.7.working: a temporary file that a killed process left",
    ),
    "an index unrecorded": (copy_to(VECTORS, "image.index"), "image.index: it is not in the pool"),
    "an index altered": (other_index, "image.index: its content has changed"),
    "vectors swapped": (swap(VECTORS, "img_emb/img_emb_0.npy"), "img_emb/img_emb_0.npy: its "),
    "metadata swapped": (
        swap(METADATA, "metadata/metadata_0.parquet"),
        "metadata/metadata_0.parquet: it",
    ),
    "records swapped": (swap(SHARD, ".done/0.json"), ".done/0.json: it is damaged"),
    "shard renamed": (moved_shard, "img_emb/img_emb_1.npy: it is gone"),
    "a linked folder": (linked_folder, "img_emb/img_emb_1.npy: its folder is a link"),
    "a linked record": (linked_index, "index.json: it is a link"),
    "NaN": (replaced(VECTORS, saved(with_row(np.nan))), f"{VECTORS}: the vector of row 4 has "),
    "infinity": (replaced(VECTORS, saved(with_row(np.inf))), f"{VECTORS}: the vector of row 4 h"),
    "zeros": (replaced(VECTORS, saved(with_row(0))), f"{VECTORS}: the vector of row 4 has length"),
    "another type": (
        replaced(VECTORS, saved(lambda v: v.astype(np.float32))),
        f"{VECTORS}: float16 (9, 49) in the record, but float32",
    ),
    "a column less": (
        replaced(VECTORS, saved(lambda v: v[:, 1:])),
        f"{VECTORS}: float16 (9, 49) in the record, but float16 (9, 48)",
    ),
    "a vector less": (
        replaced(VECTORS, saved(lambda v: v[1:])),
        f"{VECTORS}: float16 (9, 49) in the record, but float16 (8, 49)",
    ),
    "pickled": (
        replaced(VECTORS, lambda path: np.save(path, np.array([{}], object), allow_pickle=True)),
        f"{VECTORS}: damaged: ",
    ),
    "no npy": (replaced(VECTORS, lambda path: path.write_bytes(b"?")), f"{VECTORS}: damaged: "),
    "no Parquet": (replaced(METADATA, lambda p: p.write_bytes(b"?")), f"{METADATA}: damaged: "),
    "a row of metadata less": (
        replaced(METADATA, table(lambda t: t.slice(1))),
        f"{METADATA}: 9 rows in the record, but 8 in it",
    ),
    "a column of metadata less": (
        replaced(METADATA, table(lambda t: t.drop_columns(["caption"]))),
        f"{METADATA}: the columns ",
    ),
    "a row of skipped more": (
        replaced(SKIPPED, table(lambda t: pa.concat_tables([t, t]))),
        f"{SKIPPED}: 1 rows in the record, but 2 in it",
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_named(name: str, pool: Path) -> None:
    alter, line = ALTERATIONS[name]
    alter(pool)
    found = pool_faults(pool, thorough=True)
    assert any(fault.startswith(line) for fault in found), found


def test_a_forged_shift_of_the_metadata_is_named(pool: Path) -> None:
    """One row less in one file, and one more in the next: the sums are right."""
    whole = pq.read_table(pool / "metadata")
    record = decode((pool / INDEX).read_bytes())
    assert isinstance(record, PoolRecord)
    files = {file.path: file for file in record.files}
    for name, start, rows in ((METADATA, 9, 8), ("metadata/metadata_2.parquet", 17, 6)):
        pq.write_table(whole.slice(start, rows), pool / name)
        files[name] = record_file(pool, pool / name, rows)
    (pool / INDEX).write_bytes(record.changed(files=[*files.values()]).encode())
    found = pool_faults(pool, thorough=True)
    assert f"{VECTORS}: 9 vectors, but 8 rows of metadata" in found


@pytest.mark.parametrize(("count", "broken"), [(1, ()), (10, (0,)), (21, tuple(range(10, 20)))])
def test_a_sound_pool_has_no_faults(count: int, broken: tuple[int, ...], tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    indexed(write_pictures(tmp_path / "pictures", count, broken), pool)
    assert pool_faults(pool, thorough=True) == []
    shutil.copytree(pool, tmp_path / "copy", ignore=shutil.ignore_patterns(".done"))
    assert pool_faults(tmp_path / "copy", thorough=False) == []


def test_a_sound_pool_with_an_index_has_no_faults(pool: Path) -> None:
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    for factory in (None, "IVF2,Flat"):
        build_faiss(pool, factory)
        assert pool_faults(pool, thorough=True) == []
    record = decode((pool / INDEX).read_bytes())
    assert isinstance(record, PoolRecord)
    assert [file.rows for file in record.files if file.path == "image.index"] == [23]


def test_nothing_vouches_for_a_third_party_pool(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", random_unit(5, 8))
    assert pool_faults(pool, thorough=True) == [
        "index.json: it is gone; nothing vouches for this pool"
    ]
    with pytest.raises(DataError, match="nowhere: no such folder"):
        pool_faults(tmp_path / "nowhere", thorough=True)
