"""What the integrity layer costs: the miniweb run with it against the same run without it.

``python benchmarks/integrity_cost.py [--shared DIR] [--pairs N]``

The layer syncs files and folders, hashes what each stage leaves, checks what is taken over, and
compares each image with its name before it is scored. "Off" replaces those functions by ones that
do nothing, in a process of its own. Both kinds of run take turns, the first pair is not counted,
and the pictures are served and indexed by this process, whose time does not count.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from miniweb_end_to_end import PORT, run_file

from laion_eo.pools import index
from laion_eo.testing import serve_folder

LIMIT = 1.05


def switch_off() -> None:
    """Replace what the layer does, before anything imports it by name."""
    from laion_eo import file_record, files

    unknown = "0" * 64

    def record_file(root: Path, path: Path, rows: int | None = None) -> file_record.FileRecord:
        name, size = path.relative_to(root).as_posix(), path.stat().st_size
        return file_record.FileRecord(path=name, bytes=size, sha256=unknown, rows=rows)

    def nothing(*_: object, **__: object) -> None:
        """Find no fault, or do not wait for the disk."""

    def always(*_: object) -> bool:
        return True

    file_record.record_file = record_file
    for module, name in ((files, "sync_file"), (files, "sync_folder"), (file_record, "fault_of")):
        setattr(module, name, nothing)
    from laion_eo.pipeline.stages import scores, stored_images

    for user in (stored_images, scores):
        user.is_named_by_content = always


def do_run(shared: Path, pool: Path, out: Path) -> None:
    """Run once in this process, and print its wall and CPU time in seconds."""
    from laion_eo.pipeline import run

    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    run(run_file(shared, pool), out)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": time.perf_counter() - started, "cpu": cpu}))


def timed(shared: Path, pool: Path, out: Path, mode: str) -> dict[str, float]:
    """Run once in a process of its own."""
    command = [sys.executable, __file__, "--shared", str(shared), "--run", mode, str(pool)]
    done = subprocess.run([*command, str(out)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=beside, help="folder of the real data")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs that are counted")
    parser.add_argument("--run", nargs=3, metavar=("MODE", "POOL", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        mode, pool, out = arguments.run
        if mode == "off":
            switch_off()
        do_run(arguments.shared, Path(pool), Path(out))
        return
    web = arguments.shared / "miniweb"
    times: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
    with tempfile.TemporaryDirectory() as made, serve_folder(web, PORT) as url:
        pool = index(web, Path(made) / "pool", {"use": "tiny"}, url).folder
        for pair in range(arguments.pairs + 1):
            for mode in ("on", "off") if pair % 2 else ("off", "on"):
                found = timed(arguments.shared, pool, Path(made) / f"{mode}{pair}", mode)
                times[mode] += [found] if pair else []
    ratios = {
        kind: [on[kind] / off[kind] for on, off in zip(times["on"], times["off"], strict=True)]
        for kind in ("wall", "cpu")
    }
    worst = max(statistics.median(found) for found in ratios.values())
    detail = {
        kind: {
            "on_s": round(statistics.median(found[kind] for found in times["on"]), 3),
            "off_s": round(statistics.median(found[kind] for found in times["off"]), 3),
            "ratios": [round(ratio, 4) for ratio in ratios[kind]],
        }
        for kind in ratios
    }
    figures = {"ours": worst, "reference": LIMIT, "ratio": worst / LIMIT}
    about = {"name": "integrity_cost", "unit": "time with the layer / without; the worse median"}
    print(json.dumps({**about, **figures, "detail": detail}))


if __name__ == "__main__":
    main()
