"""What the integrity layer costs: the miniweb run with it against the same run without it.

``python benchmarks/integrity_cost.py [--shared DIR] [--pictures N] [--pairs N] [--embedder NAME]``

The run is that of miniweb_end_to_end.py over every n-th picture. By default it embeds with the test
kit's `colours`, which costs next to nothing: the layer's share is as large as it can be. With
`--embedder tiny` a picture costs a hundred milliseconds more, with the layer and without.

The layer syncs files and folders, hashes what each stage leaves, checks what is taken over, and
compares each image with its name before it is scored. "Off" replaces those functions by ones that
do nothing, in a process of its own. Both kinds of run take turns, the first pair is not counted,
and the pictures are served and indexed by this process, whose time does not count.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from miniweb_end_to_end import PORT, run_file

from laion_eo.pools import index
from laion_eo.testing import serve_folder


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


def do_run(shared: Path, pool: Path, out: Path, embedder: str) -> None:
    """Run once in this process, and print its wall and CPU time in seconds."""
    from laion_eo.pipeline import run
    from laion_eo.registry import Registry
    from laion_eo.testing import colours

    data = run_file(shared, pool) | {"embedder": {"use": embedder}}
    data["downloader"] |= {"contact": "https://benchmark.example"}
    registry = Registry.discover([colours])
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    run(data, out, registry=registry)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": time.perf_counter() - started, "cpu": cpu}))


def timed(arguments: argparse.Namespace, pool: Path, out: Path, mode: str) -> dict[str, float]:
    """Run once in a process of its own."""
    options = ["--shared", str(arguments.shared), "--embedder", arguments.embedder]
    command = [sys.executable, __file__, *options, "--run", mode, str(pool), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def cpu_name() -> str:
    """Return the processor's name."""
    text = Path("/proc/cpuinfo").read_text()
    return next((x.split(":")[1].strip() for x in text.splitlines() if x.startswith("model n")), "")


def some_of(web: Path, count: int, folder: Path) -> Path:
    """Copy every n-th picture of miniweb, about ``count`` of them, with their captions."""
    with (web / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    chosen = rows[:: max(1, len(rows) // count)]
    for row in chosen:
        (folder / row["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(web / row["file"], folder / row["file"])
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, reader.fieldnames or ())
        writer.writeheader()
        writer.writerows(chosen)
    return folder


def main() -> None:
    """Measure, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=beside, help="folder of the real data")
    parser.add_argument("--pictures", type=int, default=1000, help="about how many of them")
    parser.add_argument("--embedder", default="colours", help="the run's embedder")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs that are counted")
    parser.add_argument("--run", nargs=3, metavar=("MODE", "POOL", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        mode, pool, out = arguments.run
        if mode == "off":
            switch_off()
        do_run(arguments.shared, Path(pool), Path(out), arguments.embedder)
        return
    times: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
    from laion_eo.registry import Registry
    from laion_eo.testing import colours

    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        web = some_of(arguments.shared / "miniweb", arguments.pictures, Path(made) / "web")
        url = stack.enter_context(serve_folder(web, PORT))
        registry = Registry.discover([colours])
        use = {"use": arguments.embedder}
        pool = index(web, Path(made) / "pool", use, url, registry).folder
        for pair in range(arguments.pairs + 1):
            for mode in ("on", "off") if pair % 2 else ("off", "on"):
                found = timed(arguments, pool, Path(made) / f"{mode}{pair}", mode)
                times[mode] += [found] if pair else []
    ratios = {
        kind: [on[kind] / off[kind] for on, off in zip(times["on"], times["off"], strict=True)]
        for kind in ("wall", "cpu")
    }
    worst = max(statistics.median(found) for found in ratios.values())
    detail: dict[str, object] = {
        kind: {
            "on_s": round(statistics.median(found[kind] for found in times["on"]), 3),
            "off_s": round(statistics.median(found[kind] for found in times["off"]), 3),
            "ratios": [round(ratio, 4) for ratio in ratios[kind]],
        }
        for kind in ratios
    }
    detail |= {
        "embedder": arguments.embedder,
        "pictures": arguments.pictures,
        "processor": cpu_name(),
    }
    walls = (statistics.median(found["wall"] for found in times[mode]) for mode in ("on", "off"))
    figures = {**dict(zip(("ours", "reference"), walls, strict=True)), "ratio": worst}
    about = {"name": "integrity_cost", "unit": "s of a run; the ratio is the worse of wall and cpu"}
    print(json.dumps({**about, **figures, "detail": detail}))


if __name__ == "__main__":
    main()
