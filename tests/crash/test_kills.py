"""SIGKILL at any moment: the same command again makes what the undisturbed one makes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from crash.kills import Known, Undisturbed, beginnings, hit, kill_at, parts
from crash.states import differences, state_of
from crash.workload import IN_FLIGHT, PART, REPO, SAVED, Process, Workload, wait_for

KILLS = {"index": 10, "run": 36, "release": 7, "pull": 7}
CASES = [(command, number) for command, count in KILLS.items() for number in range(count)]


def place(work: Workload, command: str, out: Path) -> Path:
    """Return a command's folder: a release reads the finished run."""
    return work.folder / "finished" if command == "release" else out


def repeat(work: Workload, command: str, out: Path, known: Undisturbed) -> None:
    """Do a killed command again: the undisturbed bytes, and at most one part done twice.

    Fetches in flight at the moment of the kill do not count: nobody has their bytes.
    """
    had = parts(out)
    done = work.do(command, out)
    assert done.returncode == 0, done.stderr[-3000:]
    differ = differences(known.state, state_of(command, out, work.hub))
    assert not differ, differ
    has = parts(out)
    assert len([name for name in had if has.get(name) != had[name]]) <= 1
    assert work.web.repeated() <= (SAVED if command == "index" else PART) + IN_FLIGHT
    if command == "release":  # the first commit is the Hub's own
        assert len(work.hub.repos[REPO].history("main")) <= 1 + 2
    assert work.hub.complaints == []


@pytest.mark.crash
@pytest.mark.parametrize(("command", "number"), CASES)
def test_killed_at_a_random_moment(
    command: str,
    number: int,
    work: Workload,
    known: Known,
    out: Path,
    record_property: Callable[[str, object], None],
) -> None:
    wanted = known(command)
    work.prepare(command)
    out = place(work, command, out)
    stages = list(wanted.seconds)
    stage = stages[number % len(stages)]
    after = Random(f"{command} {number}").random() * wanted.seconds[stage]
    process = work.start(command, out)
    alive = kill_at(process, beginnings(work, command, out)[stage], after)
    what = hit(work, command, out) if alive else "already over"
    record_property("hit", f"kill {command}, {after:.3f} s after {stage} began: {what}")
    repeat(work, command, out, wanted)


@pytest.mark.parametrize("stage", ["embeddings", "scores"])
def test_killed_between_two_parts(stage: str, work: Workload, known: Known, out: Path) -> None:
    """Three parts of the stage are there, and stay as they are."""
    wanted = known("run")
    work.prepare("run")
    assert work.do("run", out, CRASH_AT=f"{stage}:3").returncode == -9
    had = {name: about for name, about in parts(out).items() if name.startswith(f"{stage}/")}
    assert len(had) == 3
    repeat(work, "run", out, wanted)
    assert had.items() <= parts(out).items()


class KillsAfter(list[tuple[str, str, int]]):
    """Notes requests to the Hub; kills a process once one of a kind is carried out."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.process: Process | None = None

    def append(self, request: tuple[str, str, int]) -> None:
        super().append(request)
        method, path, _ = request
        if method == "POST" and f"/{self.word}/" in path and self.process is not None:
            self.process.child.kill()


@pytest.mark.crash
@pytest.mark.parametrize("word", ["commit", "tag"])
def test_release_killed_before_it_hears_of(word: str, work: Workload, known: Known) -> None:
    wanted = known("release")
    work.prepare("release")
    requests = work.hub.requests = KillsAfter(word)
    requests.process = work.start("release", work.folder / "finished")
    requests.process.child.communicate(timeout=60)
    assert requests.process.child.returncode == -9
    requests.process = None
    repeat(work, "release", work.folder / "finished", wanted)


STOPS = {"index": 6, "run": 30, "release": 6, "pull": 6}


@pytest.mark.crash
@pytest.mark.parametrize(
    ("command", "number"),
    [(name, number) for name, count in STOPS.items() for number in range(count)],
)
def test_ctrl_c_twice(
    command: str,
    number: int,
    work: Workload,
    known: Known,
    out: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Ctrl-C or SIGTERM, once, twice or ten times, from the first import to the end."""
    wanted = known(command)
    work.prepare(command)
    out = place(work, command, out)
    random = Random(f"stop {command} {number}")
    begun = {"import": lambda: True, **beginnings(work, command, out)}
    stage = list(begun)[number % len(begun)]
    after = random.random() * wanted.seconds.get(stage, 1.0)
    presses, wait = (2, 10, 1)[number % 3], random.choice([0.0, 0.001, 0.005, 0.02, 0.1, 0.2])
    what = signal.SIGTERM if number % 4 == 3 else signal.SIGINT
    process = work.start(command, out)
    wait_for(lambda: _can_be_stopped(process), process)
    wait_for(begun[stage], process)
    time.sleep(after)
    for _ in range(presses):
        process.child.send_signal(what)
        time.sleep(wait)
    _, errors = process.child.communicate(timeout=60)
    code = process.child.returncode
    record_property(
        "hit", f"{presses} x {what.name} {command}, {after:.3f} s after {stage} began: {code}"
    )
    # The last may come when Python is ending: a shell calls both of them 130, or 143.
    assert code in (0, 128 + what, -what), errors[-2000:]
    said = [line for line in errors.splitlines() if "stopped" in line]
    assert len(said) == (code == 128 + what), errors[-2000:]
    assert not {"Traceback", "Fatal", "Aborted!", "Exception"} & set(errors.split()), errors[-2000:]
    repeat(work, command, out, wanted)


def _can_be_stopped(process: Process) -> bool:
    """Tell whether the command catches SIGTERM: from then on a signal is its own to deal with."""
    try:
        status = Path(f"/proc/{process.child.pid}/status").read_text()
    except OSError:
        return True
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
