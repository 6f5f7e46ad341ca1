from __future__ import annotations

from pathlib import Path

import pytest
from indexed import content_of, indexed, write_pictures

from laion_eo.errors import DataError, RunError
from laion_eo.pools.pool_folder import PoolFolder, is_known


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eleven pictures: two shards."""
    return write_pictures(tmp_path / "pictures", 11)


@pytest.fixture
def pool(pictures: Path, tmp_path: Path) -> Path:
    """Their pool."""
    indexed(pictures, tmp_path / "pool")
    return tmp_path / "pool"


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("index.json", True),
        ("index.json.77.working", True),
        ("image.index", True),
        ("text.index", False),
        ("img_emb/img_emb_0.npy", True),
        ("img_emb/img_emb_12.npy", True),
        ("img_emb/img_emb_12.npy.9.working", True),
        ("img_emb/metadata_1.parquet", False),
        ("img_emb/img_emb_x.npy", False),
        ("img_emb/notes.txt", False),
        ("metadata/metadata_0.parquet", True),
        ("metadata/deep/metadata_0.parquet", False),
        ("skipped/skipped_00.parquet", True),
        (".done/07.json", True),
        (".done/fingerprint", True),
        (".done/x.json", False),
        (".done/pieces/0-4-0123456789abcdef-0123456789abcdef0123456789abcdef.piece", True),
        ("photos/a.png", False),
    ],
)
def test_what_an_indexing_leaves(path: str, known: bool) -> None:
    assert is_known(path) == known


def test_two_at_a_time_are_refused(pictures: Path, pool: Path) -> None:
    with (
        PoolFolder(pool).lock(),
        pytest.raises(RunError, match="another laion-eo indexes into this folder"),
    ):
        indexed(pictures, pool)
    assert indexed(pictures, pool).embedded == 0


@pytest.mark.parametrize("name", ["notes.txt", "img_emb/notes.txt", "metadata/a/b.parquet"])
def test_a_file_of_a_third_party_is_named_and_left_alone(
    name: str, pictures: Path, pool: Path
) -> None:
    (pool / name).parent.mkdir(exist_ok=True)
    (pool / name).write_text("precious")
    before = content_of(pool)
    with pytest.raises(DataError, match=f"holds '{name}'; an index needs its own folder"):
        indexed(pictures, pool)
    assert content_of(pool) == before


@pytest.mark.parametrize("name", ["img_emb/img_emb_0.npy", "index.json", ".done/0.json"])
def test_a_folder_in_place_of_a_file_is_named(name: str, pictures: Path, pool: Path) -> None:
    (pool / name).unlink()
    (pool / name).mkdir()
    with pytest.raises(DataError, match=f"holds '{name}'; an index needs its own folder"):
        indexed(pictures, pool)


@pytest.mark.parametrize("name", ["img_emb", ".done", "skipped"])
def test_a_folder_that_is_a_link_is_not_written_through(
    name: str, pictures: Path, pool: Path, tmp_path: Path
) -> None:
    (pool / name).rename(tmp_path / "elsewhere")
    (pool / name).symlink_to(tmp_path / "elsewhere")
    before = content_of(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=name):
        indexed(pictures, pool)
    assert content_of(tmp_path / "elsewhere") == before


def test_a_link_in_place_of_a_file_is_replaced(pictures: Path, pool: Path, tmp_path: Path) -> None:
    wanted, path = content_of(pool), pool / "img_emb" / "img_emb_1.npy"
    path.rename(tmp_path / "vectors.npy")
    path.symlink_to(tmp_path / "vectors.npy")
    assert indexed(pictures, pool).embedded == 1
    assert content_of(pool) == wanted
    assert not path.is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        "img_emb/img_emb_7.npy",
        "metadata/metadata_2.parquet",
        ".done/5.json",
        "index.json.1.working",
        "skipped/skipped_0.parquet.12.working",
        ".done/pieces/0-4-0123456789abcdef-0123456789abcdef0123456789abcdef.piece",
    ],
)
def test_what_an_earlier_one_left_too_much_is_swept(name: str, pictures: Path, pool: Path) -> None:
    wanted = content_of(pool)
    (pool / name).parent.mkdir(exist_ok=True)
    (pool / name).write_bytes(b"old")
    assert indexed(pictures, pool).embedded == 0
    assert content_of(pool) == wanted


@pytest.mark.parametrize("finished", [True, False])
def test_a_pool_of_an_older_version_is_made_again(
    finished: bool, pictures: Path, pool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = content_of(pool)
    (pool / ".done" / "fingerprint").write_text("0123456789abcdef")
    (pool / ".done" / "0.json").write_text('{"rows": 10, "skipped": 0}')
    (pool / ".done" / "1.json").unlink()
    if finished:
        (pool / "index.json").write_text('{"model_id": "colours-1", "dim": 49, "rows": 11}')
    else:
        (pool / "index.json").unlink()
    with caplog.at_level("INFO", "laion_eo"):
        assert indexed(pictures, pool).embedded == 11
    assert content_of(pool) == wanted
    assert sum("made by an older laion-eo" in line for line in caplog.messages) == 1
    assert not any("damaged" in line for line in caplog.messages)


def test_a_pool_whose_records_were_not_copied_is_made_again(pictures: Path, pool: Path) -> None:
    wanted = content_of(pool)
    for path in (pool / ".done").iterdir():
        path.unlink()
    (pool / ".done").rmdir()
    assert indexed(pictures, pool).embedded == 11
    assert content_of(pool) == wanted


def test_a_file_is_no_folder(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "pool").write_text("")
    with pytest.raises(DataError, match="pool: a file; an index needs its own folder"):
        indexed(pictures, tmp_path / "pool")
