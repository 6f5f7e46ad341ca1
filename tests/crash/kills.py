"""Kills at chosen moments, and what they hit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from crash.states import STAGES, State, state_of
from crash.workload import Process, Workload, wait_for

Seconds = float


@dataclass
class Undisturbed:
    """A command that nothing disturbed.

    Attributes:
        state: What it made.
        seconds: How long each of its stages took.
    """

    state: State
    seconds: dict[str, Seconds] = field(default_factory=dict)


Known: TypeAlias = Callable[[str], Undisturbed]


def beginnings(work: Workload, command: str, out: Path) -> dict[str, Callable[[], object]]:
    """Return how each stage of a command shows that it has begun."""
    if command == "run":
        before = [out, *(out / ".stages" / f"{name}.json" for name in STAGES)]
        return {name: path.exists for name, path in zip((*STAGES, "end"), before, strict=True)}
    asked = {"index": lambda: work.web.asked, "release": lambda: work.hub.requests}
    return {command: asked.get(command, asked["release"])}


def undisturbed(work: Workload, command: str, out: Path) -> Undisturbed:
    """Do a command to its end, and measure its stages."""
    work.prepare(command)
    process = work.start(command, out)
    times: dict[str, Seconds] = {}
    for stage, begun in beginnings(work, command, out).items():
        wait_for(begun, process)
        times[stage] = time.monotonic()
    _, errors = process.child.communicate()
    assert process.child.returncode == 0, errors
    ends = [*list(times.values())[1:], time.monotonic()]
    seconds = {name: end - times[name] for name, end in zip(times, ends, strict=True)}
    return Undisturbed(state_of(command, out, work.hub), seconds)


def kill_at(process: Process, begun: Callable[[], object], after: Seconds) -> bool:
    """Kill a command so long after a stage has begun; tell whether it was still there."""
    wait_for(begun, process)
    time.sleep(after)
    alive = process.child.poll() is None
    process.kill()
    return alive


def hit(work: Workload, command: str, out: Path) -> str:
    """Say what a kill found on the disk, or on the Hub."""
    if command == "index":
        images = work.web.asked.total()
        return f"{_count(out / 'img_emb', '*.npy')} shards saved, {images} images fetched"
    if command == "pull":
        return (
            f"{_count(out, 'datasets/**/*.arrow')} arrow files, {len(work.hub.requests)} requests"
        )
    if command == "release":
        words = [word for _, path, _ in work.hub.requests for word in path.split("/")]
        wrote = [word for word in ("preupload", "commit", "tag") if word in words]
        return f"after {len(work.hub.requests)} requests, {' and '.join(wrote) or 'none wrote'}"
    done = [name for name in STAGES if (out / ".stages" / f"{name}.json").exists()]
    if len(done) == len(STAGES):
        return "all stages done"
    stage = STAGES[len(done)]
    return (
        f"in {stage}, {_count(out / stage, 'part-*')} parts, {_count(out / 'images', '*')} images"
    )


def _count(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern))) if folder.is_dir() else 0


def parts(out: Path) -> dict[str, tuple[int, int]]:
    """Return the finished parts of a run or a pool, with what changes when one is written."""
    found = [*out.glob("*/part-*.parquet"), *out.glob("img_emb/*.npy")]
    stats = {str(path.relative_to(out)): path.stat() for path in found}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}
