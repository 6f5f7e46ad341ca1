"""What a command has made, in a form to compare, and what its ending says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from crash.workload import REPO, Workload
from fakes.hub_state import LoopbackHub

from laion_eo.pipeline import stages
from laion_eo.pools.checking import pool_faults

STAGES = tuple(step.name for step in (*stages.STAGES, stages.Publishing))
State: TypeAlias = dict[str, Any]
_LOG_LINE = re.compile(r"\d\d:\d\d:\d\d ")
_FINGERPRINT = re.compile(r"-[0-9a-f]+\.parquet$")


def pool_state(pool: Path) -> State:
    """Return all files of a pool, its record and those of its shards among them, and its faults."""
    files = [path for path in pool.rglob("*") if path.is_file() and path.name != ".lock"]
    state: State = {str(path.relative_to(pool)): path.read_bytes() for path in files}
    return state | {"faults": pool_faults(pool, thorough=True)} | _leftovers(pool)


def run_state(run: Path) -> State:
    """Return a run's dataset and parts as bytes, but for what holds times of fetching."""
    state: State = {}
    for path in sorted((run / "dataset").rglob("*.*")):
        state[str(path.relative_to(run))] = path.read_bytes()
    for stage in STAGES[:-1]:
        parts = sorted((run / stage).glob("part-*.parquet"))
        state[stage] = _table(parts)
        if stage != "downloads":
            state |= {f"{stage}/{_FINGERPRINT.sub('', p.name)}": p.read_bytes() for p in parts}
    for path in (run / "images").iterdir():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        state[f"images/{path.name}"] = path.name.startswith(found)
    about_stages = json.loads((run / "manifest.json").read_text())["stages"]
    state["counts"] = {name: about["counts"] for name, about in about_stages.items()}
    return state | _leftovers(run)


def hub_state(hub: LoopbackHub) -> State:
    """Return the files of the released repository: of its main branch and of its tags."""
    repo = hub.repos[REPO]
    places = {name: repo.at(name).files for name in ("main", *repo.tags)}
    return {f"{name}:{p}": b.content for name, files in places.items() for p, b in files.items()}


def pulled_state(home: Path) -> State:
    """Return the rows that datasets' cache holds, as it finds them."""
    found: State = {}
    for path in (home / "datasets").rglob("*.arrow"):
        folder = path.parent
        if not folder.name.endswith(".incomplete") and (folder / "dataset_info.json").is_file():
            info = json.loads((folder / "dataset_info.json").read_text())
            rows = info["splits"]["train"]["num_examples"]
            found[str(path.relative_to(home))] = (rows, path.read_bytes())
    return found


def state_of(command: str, out: Path, hub: LoopbackHub) -> State:
    """Return what a command has made.

    Args:
        command: Which one.
        out: Where it wrote.
        hub: Where it released to.
    """
    if command == "release":
        return hub_state(hub)
    return {"index": pool_state, "run": run_state, "pull": pulled_state}[command](out)


def _table(parts: list[Path]) -> bytes:
    """Return the rows of all parts but their times, as bytes."""
    if not parts:
        return b""
    table = pa.concat_tables([pq.read_table(path) for path in parts])
    timeless = [field.name for field in table.schema if not pa.types.is_timestamp(field.type)]
    sink = BytesIO()
    with pa.ipc.new_stream(sink, table.select(timeless).schema.remove_metadata()) as stream:
        stream.write_table(table.select(timeless).replace_schema_metadata().combine_chunks())
    return sink.getvalue()


def _leftovers(folder: Path) -> State:
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.working"))
    return {"leftovers": found} if found else {}


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return what is missing, too much or different, by name."""
    return sorted(k for k in {*wanted, *found} if wanted.get(k) != found.get(k))


def check_refusal(done: CompletedProcess[str], names: Collection[str] = ()) -> str:
    """See that a command ended with one line on stderr that names one of the files.

    Args:
        done: How it ended.
        names: Files and folders, one of which the line must hold; any line will do without.

    Returns:
        The line.
    """
    said = [line for line in done.stderr.splitlines() if line and not _LOG_LINE.match(line)]
    assert "Traceback" not in done.stderr, f"a traceback: {said[-1]}\n{done.stderr[-3000:]}"
    assert done.returncode in (1, 2), f"exit code {done.returncode}\n{done.stderr[-3000:]}"
    assert len(said) == 1, said
    assert said[0].startswith("laion-eo: "), said
    if names:
        assert any(name in said[0] for name in names), f"{said[0]!r} names none of {sorted(names)}"
    return said[0]


def settle(work: Workload, command: str, out: Path, wanted: State, harmed: Collection[str]) -> str:
    """Do a command again, and once more if it refuses; say how it ended.

    Args:
        work: The workload.
        command: The command.
        out: Its folder.
        wanted: What it makes undisturbed.
        harmed: The files that are not as they were: a refusal must name one of them.
    """
    line = ""
    for _ in range(2):
        done = work.do(command, out)
        if done.returncode == 0:
            try:
                differ = differences(wanted, state_of(command, out, work.hub))
            except (OSError, ValueError, EOFError) as error:
                raise AssertionError(f"unreadable, with exit code 0: {error}") from error
            assert not differ, f"other than undisturbed, with exit code 0: {differ}"
            return f"mended{' after: ' if line else ''}{line}"
        line = check_refusal(done, {Path(path).name for path in harmed})
        assert harmed, f"nothing is damaged, but: {line}"
    return f"refused: {line}"
