"""Kills under Ray: of one worker, which the run outlives, and of everything."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from crash.kills import beginnings, hit
from crash.states import State, differences, run_state
from crash.workload import Process, Workload, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.crash]
pytest.importorskip("ray", reason="the extra `ray` is not installed")

OPTIONS = ("engine.use=ray", "engine.workers=2")
ANOTHER_RUN_FILE = {"dataset/README.md", "dataset/croissant-ver-0.json"}
"""They tell of the engine."""


def workers(process: Process) -> list[int]:
    """Return the processes of the engine's workers; Ray has others, its agents among them."""
    named = process.family().items()
    return sorted(pid for pid, name in named if re.match(r"ray::\w*Worker", name))


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("victim", ["a worker", "everything"])
def test_killed_under_ray(
    victim: str,
    number: int,
    work: Workload,
    wanted_run: State,
    out: Path,
    record_property: Callable[[str, object], None],
) -> None:
    process = work.start("run", out, *OPTIONS)
    begun = beginnings(work, "run", out)[("neighbors", "scores")[number % 2]]
    wait_for(lambda: begun() and len(workers(process)) == 2, process)
    time.sleep(Random(number).random() / 4)
    what = hit(work, "run", out)
    record_property("hit", f"kill of {victim} under Ray: {what}")
    if victim == "a worker":
        for pid in workers(process)[:1]:
            os.kill(pid, signal.SIGKILL)
        _, errors = process.child.communicate()
        assert process.child.returncode == 0, errors[-3000:]
    process.kill()
    done = work.do("run", out, *OPTIONS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(differences(wanted_run, run_state(out))) <= ANOTHER_RUN_FILE
