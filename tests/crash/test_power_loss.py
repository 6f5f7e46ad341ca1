"""A power loss at any moment: the same bytes in the end, or one line that names a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from subprocess import run as run_process
from textwrap import dedent

import pytest
from crash.kills import Known, beginnings, hit, kill_at
from crash.power_loss import Disk, changes, contents
from crash.states import STAGES, settle
from crash.workload import INSIDE, Workload

LOSSES = {"index": 32, "run": 54, "pull": 14}
CASES = [(command, number) for command, count in LOSSES.items() for number in range(count)]


@pytest.mark.crash
@pytest.mark.parametrize(("command", "number"), CASES)
def test_power_lost_at_a_random_moment(
    command: str,
    number: int,
    work: Workload,
    known: Known,
    out: Path,
    record_property: Callable[[str, object], None],
) -> None:
    wanted = known(command)
    work.prepare(command)
    disk = Disk(out, out.with_name("shadow"))
    rng = Random(f"power {command} {number}")
    stages = list(wanted.seconds)
    stage = stages[number % len(stages)]
    lost = rng.random(), rng.choice((0.0, 0.1, rng.random()))
    # A little beyond its end: what a command has just called done may be lost as well.
    after = rng.random() * 1.2 * wanted.seconds[stage]
    process = work.start(command, out, **disk.variables)
    kill_at(process, beginnings(work, command, out)[stage], after)
    what = hit(work, command, out)
    harmed = disk.lose_power(rng, *lost)
    text = f"power loss {command}, {what}: {len(harmed)} files harmed"
    record_property("hit", text)
    record_property("hit", f"{text}; {settle(work, command, out, wanted.state, harmed)}")


def test_power_lost_between_two_parts(work: Workload, known: Known, out: Path) -> None:
    """What was not fsynced is zeroed."""
    wanted = known("run")
    work.prepare("run")
    disk = Disk(out, out.with_name("shadow"))
    assert work.do("run", out, CRASH_AT="scores:3", **disk.variables).returncode == -9
    assert {*STAGES[:4]} <= {path.stem for path in (out / ".stages").iterdir()}
    harmed = disk.lose_power(Random(0), 1.0, 0.0, "zeroed")
    settle(work, "run", out, wanted.state, harmed)


WRITERS = {
    "careful": """
        def write(path, content):
            aside = path + ".aside"
            with open(aside, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(aside, path)
            sync_folder(os.path.dirname(path))
        """,
    "no fsync of the folder": """
        def write(path, content):
            with open(path + ".aside", "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(path + ".aside", path)
        """,
    "no fsync of the file": """
        def write(path, content):
            with open(path + ".aside", "wb") as stream:
                stream.write(content)
            os.replace(path + ".aside", path)
            sync_folder(os.path.dirname(path))
        """,
}
PROGRAM = """
import os, shutil, sys
def sync_folder(path):
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
{write}
root = sys.argv[1]
os.mkdir(root + "/new")
sync_folder(root)
write(root + "/new/a", b"first" * 99)
write(root + "/kept/old", b"second" * 99)
with open(root + "/logs/log", "ab", buffering=0) as log:
    log.write(b"one\\n")
    os.fsync(log.fileno())
    sync_folder(root + "/logs")
    log.write(b"two\\n" * 99)
shutil.rmtree(root + "/removed")
"""


def written(tmp_path: Path, how: str) -> tuple[Path, Disk, dict[str, bytes]]:
    """Let a small program write into a folder; return that, its disk and what it holds."""
    root = tmp_path / "root"
    for name in ("removed/b", "kept/old", "logs/other"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(b"here before")
    disk = Disk(root, tmp_path / "shadow")
    program = PROGRAM.format(write=dedent(WRITERS[how]))
    command = [sys.executable, "-c", program, str(root)]
    run_process(command, env={"PYTHONPATH": str(INSIDE), **disk.variables}, check=True)
    return root, disk, contents(root)


@pytest.mark.parametrize("seed", range(10))
def test_what_was_fsynced_stays(seed: int, tmp_path: Path) -> None:
    """The harness itself: it takes nothing that a disk keeps, and a rename wholly or not."""
    root, disk, before = written(tmp_path, "careful")
    disk.lose_power(Random(seed), 0.5, 0.5)
    after = contents(root)
    assert set(changes(before, after)) <= {"logs/log", "removed/b"}
    assert after["logs/log"].startswith(b"one\n")
    assert after.get("removed/b", b"here before") == b"here before"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("no fsync of the folder", {"new/a": None, "kept/old": b"here before"}),
        ("no fsync of the file", {"new/a": bytes(495), "kept/old": bytes(594)}),
    ],
)
def test_what_was_not_fsynced_may_be_lost(
    how: str, expected: dict[str, bytes | None], tmp_path: Path
) -> None:
    root, disk, before = written(tmp_path, how)
    assert before["new/a"] == b"first" * 99
    harmed = disk.lose_power(Random(0), how="zeroed")
    after = contents(root)
    assert {name: after.get(name) for name in expected} == expected
    assert after["logs/log"] == b"one\n" + bytes(4 * 99)
    assert harmed["removed/b"] == "there again"
