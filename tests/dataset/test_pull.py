"""A pull notices what a kill or a loss of power left damaged, in its own cache and in the Hub's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.hub_state import LoopbackHub
from fakes.hub_store import Blob
from huggingface_hub import constants
from made import MakeRun
from releases import REPO, publish

from laion_eo.dataset.pull import RECORDS, pull
from laion_eo.errors import DataError

SHARD = "ver-0/train-00000-of-00001.parquet"


@pytest.fixture
def released(hub: LoopbackHub, make_run: MakeRun) -> LoopbackHub:
    """The Hub with a release of 20 rows."""
    publish(make_run())
    hub.requests.clear()
    return hub


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "emptied": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": Path.unlink,
}


def blob(hub: LoopbackHub, name: str) -> Path:
    """The copy of a file in the Hub's own cache."""
    home = Path(constants.HF_HUB_CACHE, f"datasets--{REPO.replace('/', '--')}")
    [path] = home.rglob(hub.repos[REPO].file("main", name).etag)
    return path


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECORDS}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["laion_eo-train.arrow", "dataset_info.json", RECORDS])
def test_a_damaged_pull_is_pulled_again(name: str, damage: str, released: LoopbackHub) -> None:
    folder = pull("ver-0", REPO).folder
    before = state(folder)
    DAMAGES[damage](folder / name)
    done = pull("ver-0", REPO)
    assert (done.rows, done.folder) == (20, folder)
    after = state(folder)
    assert after["laion_eo-train.arrow"] == before["laion_eo-train.arrow"]
    assert set(after) == set(before)


def test_a_sound_pull_is_left_alone(released: LoopbackHub) -> None:
    folder = pull("ver-0", REPO).folder
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    released.requests.clear()
    pull("ver-0", REPO)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert not any("/resolve/" in path for _, path, _ in released.requests)


@pytest.mark.parametrize("lfs", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_in_the_cache_of_the_hub(
    damage: str, lfs: bool, released: LoopbackHub, caplog: pytest.LogCaptureFixture
) -> None:
    repo = released.repos[REPO]
    shard = Blob(repo.file("main", SHARD).content, lfs)
    repo.add("main", "moved", {**repo.at("main").files, SHARD: shard}, repo.at("main"))
    folder = pull("ver-0", REPO).folder
    before = state(folder)
    DAMAGES[damage](blob(released, SHARD))
    (folder / RECORDS).unlink()
    done = pull("ver-0", REPO)
    assert done.rows == 20
    assert state(folder)["laion_eo-train.arrow"] == before["laion_eo-train.arrow"]
    assert blob(released, SHARD).read_bytes() == shard.content
    said = [record.getMessage() for record in caplog.records]
    assert f"{folder}: nothing vouches for it; pulled again" in said


def test_a_file_that_always_comes_damaged_is_named(hub: LoopbackHub, make_run: MakeRun) -> None:
    publish(make_run(rows=33))  # of which no cache has a sound copy
    hub.damaged.add(SHARD)
    with pytest.raises(DataError, match=rf"{SHARD}: its SHA-256 is .* was damaged") as caught:
        pull("ver-0", REPO)
    assert "\n" not in str(caught.value)
