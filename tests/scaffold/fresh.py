"""Installs a package of every kind in this environment and lets a run use them all.

``tox run -e fresh`` calls it with the built wheel installed, outside the checkout. What a user
would type is typed: ``laion-eo new-plugin``, ``pip install``, ``pytest``, ``laion-eo plugins``,
``laion-eo index`` and ``laion-eo run``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
import tomli_w

import laion_eo
from laion_eo.kinds import KINDS
from laion_eo.testing.web import write_anchors, write_web
from laion_eo.types import JSON

NAMES = {kind.name: f"my-{kind.name}" for kind in KINDS}


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, which must end well, and return what it prints."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Make, install, test, list and use the ten packages."""
    if "site-packages" not in laion_eo.__file__:
        raise SystemExit(f"laion-eo is not installed: {laion_eo.__file__}")
    cli = shutil.which("laion-eo", path=str(Path(sys.executable).parent))
    assert cli
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for kind, name in NAMES.items():
            call(cli, "new-plugin", name, "--kind", kind, "--out", folder)
        tests = [f"{folder / name}[test]" for name in NAMES.values()]
        call(sys.executable, "-m", "pip", "install", *tests)
        for name in NAMES.values():
            said = call(sys.executable, "-m", "pytest", "-q", cwd=folder / name)
            report(f"{name}: {said.strip().splitlines()[-1]}")
        listed = call(cli, "plugins")
        missing = [name for name in NAMES.values() if f"{name} 0.1.0" not in listed]
        if missing:
            raise SystemExit(f"laion-eo plugins does not list {', '.join(missing)}\n{listed}")
        use_all(cli, folder)


def use_all(cli: str, folder: Path) -> None:
    """Do one run in which every component is of one of the packages."""
    web, anchors = folder / "web", folder / "anchors"
    web.mkdir()
    anchors.mkdir()
    write_web(web)
    write_anchors(anchors)
    embedder = NAMES["embedder"]
    call(cli, "index", web, "--out", folder / "index", "--embedder", embedder)
    # The retriever of new-plugin has a layout of its own.
    (vectors,) = (folder / "index" / "img_emb").glob("*.npy")
    (folder / "pool").mkdir()
    np.save(folder / "pool" / "vectors.npy", np.load(vectors))
    pc.write_csv(pq.read_table(folder / "index" / "metadata"), folder / "pool" / "rows.csv")
    (folder / "run.toml").write_text(tomli_w.dumps(run_file()))
    call(cli, "run", folder / "run.toml", "--out", folder / "run")
    manifest = json.loads((folder / "run" / "manifest.json").read_text("utf-8"))
    for kind, name in NAMES.items():
        found = manifest["components"][kind][name]["distribution"]
        if found != f"{name} 0.1.0":
            raise SystemExit(f"the run took its {kind} from {found}")
    rows = manifest["stages"]["dataset"]["counts"]["rows"]
    if not rows or not list((folder / "published").glob("*.zip")):
        raise SystemExit("the run of all ten published nothing")
    report(f"a run of all ten: {rows} rows")


def run_file() -> dict[str, JSON]:
    """Return the run file, whose every table names one of the packages."""
    options: dict[str, dict[str, JSON]] = {
        "anchor-source": {"root": "anchors"},
        "retriever": {"pool": "pool", "k": 35},
        "downloader": {"root": "web"},
        "publisher": {"folder": "published"},
    }
    tables: dict[str, JSON] = {}
    for kind in KINDS:
        chosen = {"use": NAMES[kind.name], **options.get(kind.name, {})}
        tables[kind.table] = [chosen] if kind.many else chosen
    return tables


def report(line: str) -> None:
    """Say what was shown."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
