"""The threads of a scan: numpy and torch let go of the interpreter while they work."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def how_many() -> int:
    """Return how many threads this process may use: ``OMP_NUM_THREADS``, or all its cores."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else len(os.sched_getaffinity(0))


def start_threads() -> ThreadPoolExecutor:
    """Return as many threads; what torch does in one of them, it does with that thread alone."""
    count = how_many()
    pool = ThreadPoolExecutor(count, "scan")
    try:
        import torch
    except ImportError:
        return pool
    before = torch.get_num_threads()
    ready = Barrier(count)

    def alone(_: int) -> None:
        torch.get_num_threads()  # a thread's first question sets its number to everyone's
        torch.set_num_threads(1)
        ready.wait()  # so that each thread comes here once

    list(pool.map(alone, range(count)))
    # The number is each thread's own, but also what threads that start later begin with.
    torch.set_num_threads(before)
    return pool
