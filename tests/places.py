"""Where datasets are loaded: each place with a fresh HF_HOME, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fakes.hub_state import LoopbackHub
from made import MakeRun, client_env

from laion_eo.dataset.release import release

ROOT = Path(__file__).resolve().parents[1]
LOAD = """
import importlib, json, sys
import pyarrow as pa
import pyarrow.parquet as pq
load_dataset = importlib.import_module(sys.argv[2]).load_dataset
for name, config, out, options in json.loads(sys.argv[1]):
    dataset = load_dataset(name, config, split="train", **options)
    if options.get("streaming"):
        table = pa.Table.from_pylist(list(dataset), schema=dataset.features.arrow_schema)
    else:
        table = dataset.data.table
    pq.write_table(table.combine_chunks().replace_schema_metadata(None), out)
"""


class Place:
    """A working directory and a home for the Hub's files, both of one test alone.

    Attributes:
        loader: The package whose ``load_dataset`` is called.
    """

    loader = "datasets"

    def __init__(self, hub: LoopbackHub, folder: Path, cwd: Path) -> None:
        self.folder, self.cwd = folder, cwd
        folder.mkdir(exist_ok=True)
        self.env = {**os.environ, **client_env(hub, folder / "home"), "PYTHONPATH": str(ROOT)}

    def python(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Python there."""
        command = [sys.executable, "-P", *args]
        done = subprocess.run(command, cwd=self.cwd, env=self.env, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done

    def load(self, name: str, config: str, **options: object) -> pa.Table:
        """Load a dataset there, by name."""
        return self.load_all([(name, config, options)])[0]

    def load_all(self, calls: Sequence[tuple[str, str, Mapping[str, object]]]) -> list[pa.Table]:
        """Load datasets there, one after the other in one process."""
        outs = [self.folder / f"out-{number}.parquet" for number in range(len(calls))]
        full = [
            [name, config, str(out), options]
            for (name, config, options), out in zip(calls, outs, strict=True)
        ]
        self.python("-c", LOAD, json.dumps(full), self.loader)
        return [pq.read_table(out) for out in outs]

    def fail(self, name: str, config: str, **options: object) -> str:
        """Load a dataset there, which fails; return what is said."""
        call = json.dumps([[name, config, "", options]])
        done = self.python("-c", LOAD, call, self.loader, check=False)
        assert done.returncode != 0
        return done.stderr


def publish_runs(make_run: MakeRun) -> None:
    """Release ver-0, ver-1 and a longer ver-0 to ``org/laion_eo``."""
    for config, rows, tag in (
        ("ver-0", 20, "v1.0.0"),
        ("ver-1", 30, "v1.1.0"),
        ("ver-0", 25, "v2"),
    ):
        release(make_run(config, rows), "org/laion_eo", config, tag=tag)
