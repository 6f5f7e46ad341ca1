"""Damage without a crash, and runs over what is not finished: mended, or refused in one line."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest
from crash.kills import Known
from crash.power_loss import damaged
from crash.states import STAGES, State, check_refusal, differences, run_state, settle
from crash.workload import IMAGES, Workload

HOWS = ("emptied", "cut", "zeroed", "flipped", "deleted")
PARTED = ("anchors", "downloads", "embeddings", "scores", "languages")
"""Stages whose finished parts a killed run keeps."""
IN_A_RUN = [
    *(f"{stage}/part-*" for stage in STAGES[:-1]),
    *(f".stages/{stage}.json" for stage in ("anchors", "downloads", "dataset")),
    *("images/*", "dataset/ver-0/*.parquet", "dataset/README.md", "dataset/croissant-*"),
    *("manifest.json", "run.toml"),
]
IN_A_POOL = ["img_emb/*.npy", "metadata/*.parquet", "skipped/*.parquet", "index.json"]

pytestmark = pytest.mark.crash


def harm(folder: Path, pattern: str, how: str) -> Path:
    """Damage the last file of a pattern, and return it."""
    path = sorted(folder.glob(pattern))[-1]
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(damaged(path.read_bytes(), how, Random(f"{pattern} {how}")))
    return path


def harm_and_settle(
    work: Workload, command: str, wanted: State, out: Path, pattern: str, how: str
) -> None:
    """Damage a file: the command mends it, or refuses it by name."""
    path = harm(out, pattern, how)
    bad = None if how == "deleted" else path.read_bytes()
    end = settle(work, command, out, wanted, [path.name])
    if end.startswith("mended") and path.is_file():
        assert path.read_bytes() != bad, "its rows are right, but the damaged file is still there"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("pattern", IN_A_RUN)
def test_a_finished_run(
    pattern: str, how: str, work: Workload, wanted_run: State, copied_run: Path
) -> None:
    harm_and_settle(work, "run", wanted_run, copied_run, pattern, how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("stage", PARTED)
def test_the_newest_part_of_a_killed_run(
    stage: str, how: str, work: Workload, wanted_run: State, out: Path
) -> None:
    assert work.do("run", out, CRASH_AT=f"{stage}:1").returncode == -9
    harm_and_settle(work, "run", wanted_run, out, f"{stage}/part-*", how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("pattern", ["downloads/journal*", "images/*"])
def test_what_a_killed_download_left(
    pattern: str, how: str, work: Workload, wanted_run: State, out: Path
) -> None:
    assert work.do("run", out, CRASH_AT="downloads:4").returncode == -9
    harm_and_settle(work, "run", wanted_run, out, pattern, how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("pattern", IN_A_POOL)
def test_a_pool_indexed_again(
    pattern: str, how: str, work: Workload, known: Known, out: Path
) -> None:
    wanted = known("index").state
    work.prepare("index")
    shutil.copytree(work.folder / "pool", out)
    harm_and_settle(work, "index", wanted, out, pattern, how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("pattern", IN_A_POOL)
def test_a_run_over_a_damaged_pool(
    pattern: str, how: str, work: Workload, wanted_run: State, out: Path
) -> None:
    """It is refused, if the damage matters to it."""
    pool = out.with_name("pool")
    shutil.copytree(work.folder / "pool", pool)
    name = harm(pool, pattern, how).name
    done = work.do("run", out, f"retriever.pool={pool}")
    if done.returncode:
        check_refusal(done, [name])
    else:
        rows = "dataset/ver-0/train-00000-of-00001.parquet"
        assert (out / rows).read_bytes() == wanted_run[rows]


@pytest.mark.parametrize("images", [0, IMAGES // 2])
def test_a_run_over_a_pool_whose_index_was_killed(images: int, work: Workload, out: Path) -> None:
    pool = out.with_name("pool")
    assert work.do("index", pool, CRASH_AT=f"index:{images}").returncode == -9
    line = check_refusal(work.do("run", out, f"retriever.pool={pool}"), [str(pool)])
    assert "laion-eo index" in line


def test_a_run_after_another_that_could_not_publish(
    work: Workload, wanted_run: State, copied_run: Path
) -> None:
    """Its dataset is its own again, not the other's."""
    taken = copied_run.with_name("taken")
    (taken / "of somebody").mkdir(parents=True)
    options = ("filters.similarity-threshold.sigma=0", f"publisher.path={taken}")
    check_refusal(work.do("run", copied_run, *options), [str(taken)])
    done = work.do("run", copied_run)
    assert done.returncode == 0, done.stderr
    assert differences(wanted_run, run_state(copied_run)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_removed_between_two_runs(
    stage: str, work: Workload, wanted_run: State, copied_run: Path
) -> None:
    shutil.rmtree(copied_run / stage)
    settle(work, "run", copied_run, wanted_run, [stage])


@pytest.mark.parametrize("stage", ["candidates", "downloads", "images", "scores", ".stages"])
def test_a_folder_removed_in_the_middle(
    stage: str, work: Workload, wanted_run: State, out: Path
) -> None:
    folder = out / stage
    done = work.do("run", out, CRASH_AT="scores:4", CRASH_REMOVE=str(folder))
    if done.returncode:
        check_refusal(done)
    settle(work, "run", out, wanted_run, [stage])
