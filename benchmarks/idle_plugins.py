"""What 20 plugins cost a run that uses none of them: ``python benchmarks/idle_plugins.py``.

Two of each kind, as ``laion-eo new-plugin`` makes them, each with an entry point of its own. The
same run is done with and without them in turn, each in a process of its own, over a small web of
synthetic pictures with the embedder of the test kit. A figure is the least processor time of the
runs, including start-up and imports, so other work on the machine does not count. The reference is
the run without plugins; the goal is at most 2 % more.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import tomli_w

from laion_eo.kinds import KINDS
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.scaffold import new_plugin
from laion_eo.testing import colours
from laion_eo.testing.web import GREEN, picture, write_anchors

ROOT = Path(__file__).resolve().parents[1]
PICTURES = 3000
WANTED = 1.02


def install(site: Path, name: str, module: str) -> None:
    """Write what an installer writes of a distribution with one entry point."""
    info = site / f"{name.replace('-', '_')}-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[laion_eo]\n{name} = {module}\n")


def idle_plugins(site: Path) -> None:
    """Install two plugins of each kind."""
    for kind in KINDS:
        for copy in ("one", "two"):
            name = f"idle-{copy}-{kind.name}"
            package = new_plugin(name, kind.name, site / "made")
            module = name.replace("-", "_")
            (package / module).rename(site / module)
            install(site, name, module)
    compileall.compile_dir(site, quiet=1)  # as pip does


def write_run(folder: Path) -> Path:
    """Write pictures, pool and anchors, and return a run file over them."""
    web, anchors = folder / "web", folder / "anchors"
    web.mkdir()
    anchors.mkdir()
    for seed in range(PICTURES):
        picture(seed, GREEN).save(web / f"{seed:04d}.png")
    index(web, folder / "pool", {"use": "colours"}, registry=Registry.discover([colours]))
    data = {
        "anchors": {"use": "images", "root": str(write_anchors(anchors))},
        "normalizer": {"use": "none"},
        "embedder": {"use": "colours"},
        "retriever": {"use": "exact-scan", "pool": str(folder / "pool"), "k": PICTURES},
        "downloader": {"use": "http", "allow_files": True},
        "language_tagger": {"use": "letters"},
        "engine": {"use": "local", "batch_rows": 32},
    }
    (folder / "run.toml").write_text(tomli_w.dumps(data))
    return folder / "run.toml"


def seconds(path: list[Path], *arguments: str) -> float:
    """Return the processor time of one ``laion-eo``, all its threads together."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-m", "laion_eo", *arguments]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(said.decode())
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        install(folder / "kit", "kit-colours", "laion_eo.testing.colours")
        idle_plugins(folder / "idle")
        run_file = write_run(folder)
        none = [ROOT, folder / "kit"]
        some = [*none, folder / "idle"]
        times: dict[str, list[float]] = {}
        for number in range(rounds):
            for name, path in (("none", none), ("idle", some)):
                out = str(folder / f"{name}-{number}")
                spent = seconds(path, "run", str(run_file), "--out", out)
                times.setdefault(f"run, {name}", []).append(spent)
                times.setdefault(f"help, {name}", []).append(seconds(path, "--help"))
    least = {name: min(values) for name, values in times.items()}
    ours, reference = least["run, idle"], least["run, none"]
    for name, value in least.items():
        print(f"{name}: {value:.3f} s of processor time")
    figure = {"name": "idle_plugins", "ours": ours, "reference": reference}
    detail = {**least, "plugins": 20, "wanted": WANTED}
    print(json.dumps({**figure, "ratio": ours / reference, "unit": "s", "detail": detail}))


if __name__ == "__main__":
    main()
