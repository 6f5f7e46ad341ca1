from __future__ import annotations

import json
import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from indexed import SAVED, SHARD, content_of, indexed, write_pictures
from interrupted import Interrupted

from laion_eo.pools.checking import pool_faults
from laion_eo.testing.web import GREEN, RED, picture
from laion_eo.types import JSON


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """25 pictures, two of them broken: three shards."""
    return write_pictures(tmp_path / "pictures", broken=(3, 12))


@pytest.fixture
def whole(pictures: Path, tmp_path: Path) -> Path:
    """Their pool."""
    indexed(pictures, tmp_path / "whole")
    return tmp_path / "whole"


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 7, 8, 10, 14, 22])
def test_a_stopped_indexing_resumes_where_it_was_saved(
    limit: int, pictures: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = indexed(pictures, out, limit).embedded
    assert json.loads((out / "index.json").read_text())["complete"] is False
    again = indexed(pictures, out).embedded
    assert before + again - 23 <= SAVED  # what was not yet saved
    assert content_of(out) == content_of(whole)
    assert pool_faults(out, thorough=True) == []


def test_one_stopped_again_and_again_gets_there(
    pictures: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for _ in range(6):
        indexed(pictures, out, SAVED)
    assert indexed(pictures, out).embedded < SHARD
    assert content_of(out) == content_of(whole)


def test_the_files_are_those_of_one_that_saves_nothing(
    pictures: Path, whole: Path, tmp_path: Path
) -> None:
    indexed(pictures, tmp_path / "other", save_rows=1000)
    assert content_of(tmp_path / "other") == content_of(whole)
    names = [path for path in content_of(whole) if not path.startswith(".done")]
    shards = [f"{folder}_{n}" for folder in ("img_emb", "metadata", "skipped") for n in range(3)]
    assert sorted(Path(name).stem for name in names) == sorted([*shards, "index"])


def test_time_alone_saves(pictures: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    seconds: Iterator[int] = count(step=40)  # at every inspection of the clock
    options = {"save_rows": 1000, "save_seconds": 60.0, "clock": lambda: float(next(seconds))}
    assert indexed(pictures, out, 7, **options).embedded == 7
    assert len(list((out / ".done" / "pieces").glob("*.piece"))) == 2
    assert indexed(pictures, out).embedded == 23 - 7
    assert content_of(out) == content_of(whole)


def test_no_time_and_few_images_save_nothing(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    indexed(pictures, out, 8, save_rows=1000, clock=lambda: 5.0)
    assert not (out / ".done" / "pieces").exists()


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": spoil,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["img_emb/img_emb_1.npy", "metadata/metadata_1.parquet", "skipped/skipped_1.parquet"]
)
def test_a_damaged_shard_is_made_again_and_no_other(
    name: str, damage: str, pictures: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = content_of(whole)
    DAMAGES[damage](whole / name)
    with caplog.at_level(logging.INFO, "laion_eo"):
        assert indexed(pictures, whole).embedded == 9
    assert content_of(whole) == wanted
    lines = [line for line in caplog.messages if name in line]
    assert len(lines) == 1
    assert lines[0].endswith("its 10 images are embedded again")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [".done/1.json", "index.json"])
def test_a_damaged_record_is_made_again(
    name: str, damage: str, pictures: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = content_of(whole)
    DAMAGES[damage](whole / name)
    with caplog.at_level(logging.INFO, "laion_eo"):
        embedded = indexed(pictures, whole).embedded
    assert embedded == (9 if name == ".done/1.json" else 0)
    assert content_of(whole) == wanted
    lines = [line for line in caplog.messages if name in line]
    if damage == "deleted":
        assert lines == []
    else:
        again = "the images of its shard are embedded again" if embedded else "it is written again"
        assert lines == [f"{whole / name}: damaged; {again}"]


@pytest.mark.parametrize(
    "record",
    ["null", "[]", "{}", '{"checksum": 3}', "[" * 100_000, '{"rows": 9, "skipped": 1}', "\ud800"],
)
def test_a_record_that_is_none(record: str, pictures: Path, whole: Path) -> None:
    wanted = content_of(whole)
    (whole / ".done" / "1.json").write_bytes(record.encode("utf-8", "surrogatepass"))
    assert indexed(pictures, whole).embedded == 9
    assert content_of(whole) == wanted


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_piece_is_made_again_and_no_other(
    damage: str,
    pictures: Path,
    whole: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "out"
    indexed(pictures, out, 7)
    first, second = sorted((out / ".done" / "pieces").glob("*.piece"))
    DAMAGES[damage](first)
    assert indexed(pictures, out).embedded == 23 - 7 + 3  # one of its four is broken
    assert content_of(out) == content_of(whole)
    named = [line for line in caplog.messages if first.name in line]
    assert len(named) == (0 if damage == "deleted" else 1)
    assert not any(second.name in line for line in caplog.messages)


def test_nothing_changed_does_nothing(pictures: Path, whole: Path) -> None:
    stats = {path: path.stat().st_mtime_ns for path in whole.rglob("*.*")}
    assert indexed(pictures, whole).embedded == 0
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.*")} == stats


def test_a_changed_image_costs_its_shard(
    pictures: Path, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(777, RED, 30).save(pictures / "15.png")
    with caplog.at_level(logging.INFO, "laion_eo"):
        assert indexed(pictures, whole).embedded == 9
    assert [line for line in caplog.messages if "images have changed" in line] == [
        f"{whole}/img_emb/img_emb_1.npy: images have changed; its 10 images are embedded again"
    ]
    indexed(pictures, tmp_path / "fresh")
    assert content_of(whole) == content_of(tmp_path / "fresh")


def test_another_image_of_the_same_size_and_time_is_noticed(pictures: Path, whole: Path) -> None:
    """As ``cp -p`` leaves it, from a folder whose files were unpacked together."""
    path = pictures / "24.png"
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert indexed(pictures, whole).embedded >= 4


def test_an_older_image_in_its_place_is_noticed(pictures: Path, whole: Path) -> None:
    picture(778, GREEN, 30).save(pictures / "24.png")
    os.utime(pictures / "24.png", (1_000_000, 1_000_000))
    assert indexed(pictures, whole).embedded == 5


def test_a_touched_image_costs_nothing(pictures: Path, whole: Path) -> None:
    before = {path: content for path, content in content_of(whole).items() if path[0] != "."}
    for path in pictures.iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    assert indexed(pictures, whole).embedded == 0
    assert before.items() <= content_of(whole).items()
    assert indexed(pictures, whole).embedded == 0
    assert pool_faults(whole, thorough=True) == []


def test_an_image_that_was_broken_and_one_that_is_gone(pictures: Path, whole: Path) -> None:
    picture(3, GREEN, 30).save(pictures / "03.png")
    assert indexed(pictures, whole).embedded == 10
    (pictures / "metadata.csv").write_text(
        "file\n" + "\n".join(path.name for path in sorted(pictures.glob("*.png")))
    )
    assert indexed(pictures, whole).embedded == 0
    (pictures / "24.png").unlink()
    assert indexed(pictures, whole).embedded == 4
    assert pq.read_table(whole / "skipped").num_rows == 2


@pytest.mark.parametrize("more", [1, 4, 6, 20, 80])
def test_images_at_the_end_leave_the_full_shards_alone(
    more: int, pictures: Path, whole: Path, tmp_path: Path
) -> None:
    """Also where the number of shards gets another digit."""
    vectors = (whole / "img_emb" / "img_emb_0.npy").stat()
    for number in range(more):
        picture(500 + number, GREEN, 30).save(pictures / f"a{number:02d}.png")
    assert indexed(pictures, whole).embedded == more + 5
    width = 2 if more == 80 else 1
    now = (whole / "img_emb" / f"img_emb_{0:0{width}d}.npy").stat()
    assert (now.st_ino, now.st_mtime_ns) == (vectors.st_ino, vectors.st_mtime_ns)
    indexed(pictures, tmp_path / "fresh")
    assert content_of(whole) == content_of(tmp_path / "fresh")
    assert pool_faults(whole, thorough=True) == []


def test_fewer_images_leave_no_file_behind(pictures: Path, whole: Path, tmp_path: Path) -> None:
    for path in sorted(pictures.iterdir())[10:]:
        path.unlink()
    assert indexed(pictures, whole).embedded == 0
    indexed(pictures, tmp_path / "fresh")
    assert content_of(whole) == content_of(tmp_path / "fresh")


def test_a_changed_caption_in_the_middle_costs_its_shard(pictures: Path, whole: Path) -> None:
    (pictures / "15.txt").write_text("a field")
    assert indexed(pictures, whole).embedded == 9


class OtherWeights(Interrupted):
    """The same model's name, with weights of another hash."""

    def facts(self) -> dict[str, JSON]:
        return {"weights_sha256": "ab" * 32, "rows": "seven", "scale": np.float32(0.5)}


def test_other_weights_of_the_same_name_are_another_model(pictures: Path, whole: Path) -> None:
    assert indexed(pictures, whole, model=OtherWeights(100)).embedded == 23
    about = json.loads((whole / "index.json").read_text())
    assert (about["weights_sha256"], about["rows"]) == ("ab" * 32, 23)
    assert pool_faults(whole, thorough=True) == []
    assert indexed(pictures, whole, model=OtherWeights(100)).embedded == 0


def in_tars(pictures: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(3):
        with tarfile.open(folder / f"{number}.tar", "w") as archive:
            for path in sorted(pictures.iterdir())[number * 10 : number * 10 + 10]:
                archive.add(path, path.name)
    return folder


def test_an_image_changed_in_a_tar_costs_its_shard(pictures: Path, tmp_path: Path) -> None:
    tars, out = in_tars(pictures, tmp_path / "tars"), tmp_path / "out"
    assert indexed(tars, out).embedded == 23
    picture(779, GREEN, 30).save(pictures / "11.png")
    in_tars(pictures, tars)
    assert indexed(tars, out).embedded == 9
    shutil.copytree(tars, tmp_path / "moved")
    indexed(tars, tmp_path / "fresh")
    assert content_of(out) == content_of(tmp_path / "fresh")


def test_an_image_that_changes_between_two_sessions_of_a_shard(
    pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    indexed(pictures, out, 7)
    picture(780, GREEN, 30).save(pictures / "01.png")  # it is in the first piece
    assert indexed(pictures, out).embedded == 23 - 4
    indexed(pictures, tmp_path / "fresh")
    assert content_of(out) == content_of(tmp_path / "fresh")


class StopsAt:
    """Interrupts at the n-th file that is renamed or removed, before or after it is done."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int, before: bool) -> None:
        self.left, self._before = number, before
        for name in ("replace", "rename", "unlink"):
            patch.setattr(Path, name, self._stopping(getattr(Path, name)))

    def _stopping(self, call: Callable[..., object]) -> Callable[..., object]:
        def stopping(path: Path, *args: object, **options: object) -> object:
            self.left -= 1
            if self.left == 0 and self._before:
                raise KeyboardInterrupt
            done = call(path, *args, **options)
            if self.left == 0:
                raise KeyboardInterrupt
            return done

        return stopping


@pytest.mark.parametrize("before", [True, False])
def test_stopped_at_any_file_it_gets_there(
    before: bool, pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = content_of(whole)
    for number in count(1):
        out = tmp_path / str(number)
        with monkeypatch.context() as patch:
            stops = StopsAt(patch, number, before)
            indexed(pictures, out)
        if stops.left > 0:
            break
        indexed(pictures, out)
        assert content_of(out) == wanted, number
    assert number > 15


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_indexed_again_and_stopped_at_any_file_it_gets_there(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where shards get another digit, an image has changed and a file is damaged."""
    pictures, sound = write_pictures(tmp_path / "pictures", 20), tmp_path / "sound"
    sizes = {"shard_rows": 2, "save_rows": 2}
    indexed(pictures, sound, **sizes)
    spoil(sound / "img_emb" / "img_emb_2.npy")
    picture(781, GREEN, 30).save(pictures / "13.png")
    picture(782, GREEN, 30).save(pictures / "20.png")
    indexed(pictures, tmp_path / "fresh", **sizes)
    wanted = content_of(tmp_path / "fresh")
    for number in count(1):
        out = tmp_path / str(number)
        shutil.copytree(sound, out)
        with monkeypatch.context() as patch:
            stops = StopsAt(patch, number, before)
            first = indexed(pictures, out, **sizes).embedded
        if stops.left > 0:
            break
        assert first + indexed(pictures, out, **sizes).embedded <= 5 + 2  # a shard is done twice
        assert content_of(out) == wanted, number
    assert number > 40
