"""Where datasets are loaded: each place with a fresh HF_HOME, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fakes.hub_state import LoopbackHub
from made import MakeRun, client_env
from releases import release_made

ROOT = Path(__file__).resolve().parents[1]
LOAD = """
import importlib, json, sys
import pyarrow as pa
import pyarrow.parquet as pq
said = []
for loader, name, config, out, options in json.loads(sys.argv[1]):
    load_dataset = importlib.import_module(loader).load_dataset
    try:
        dataset = load_dataset(name, config, split="train", **options)
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
        continue
    if options.get("streaming"):
        table = pa.Table.from_pylist(list(dataset), schema=dataset.features.arrow_schema)
    else:
        table = dataset.data.table
    pq.write_table(table.combine_chunks().replace_schema_metadata(None), out)
    said.append(None)
with open(sys.argv[2], "w") as stream:
    json.dump(said, stream)
"""


@dataclass(frozen=True)
class Load:
    """A call of ``load_dataset``.

    Attributes:
        name: What is loaded.
        config: The configuration.
        options: Further arguments.
        loader: The package whose ``load_dataset`` is called.
    """

    name: str
    config: str
    options: Mapping[str, object] = field(default_factory=dict)
    loader: str = "datasets"


class Place:
    """A working directory and a home for the Hub's files, both of one test alone."""

    def __init__(self, hub: LoopbackHub, folder: Path, cwd: Path) -> None:
        self.folder, self.cwd = folder, cwd
        folder.mkdir(exist_ok=True)
        self.env = {**os.environ, **client_env(hub, folder / "home"), "PYTHONPATH": str(ROOT)}

    def python(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run Python there; it must end well."""
        command = [sys.executable, "-P", *args]
        done = subprocess.run(command, cwd=self.cwd, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    def load(self, *calls: Load) -> list[pa.Table | str]:
        """Load datasets there, one after the other in one process.

        Returns:
            For each call its table, or what the exception says and of what class it is.
        """
        outs = [self.folder / f"out-{number}.parquet" for number in range(len(calls))]
        asked = [
            [call.loader, call.name, call.config, str(out), dict(call.options)]
            for call, out in zip(calls, outs, strict=True)
        ]
        ends = self.folder / "ends.json"
        self.python("-c", LOAD, json.dumps(asked), str(ends))
        said = json.loads(ends.read_text("utf-8"))
        return [word or pq.read_table(out) for word, out in zip(said, outs, strict=True)]


def publish_runs(make_run: MakeRun) -> None:
    """Release ver-0, ver-1 and a longer ver-0 to ``org/laion_eo``."""
    for config, rows, tag in (
        ("ver-0", 20, "v1.0.0"),
        ("ver-1", 30, "v1.1.0"),
        ("ver-0", 25, "v2"),
    ):
        release_made(make_run(config, rows), "org/laion_eo", config, tag=tag)
