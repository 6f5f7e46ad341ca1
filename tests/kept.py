"""Finished stages put back into the state in which a killed run leaves them, and parts by hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.run_dir import RunDir


def unfinish(folder: Path, stage: str) -> None:
    """Take a finished stage's record away; its parts stay."""
    run_dir = RunDir(folder)
    record = run_dir.record(stage)
    if record is None:
        raise ValueError(f"{stage} is not finished")
    run_dir.begin(Work(stage, record.fingerprint, record.inputs))


def write_stage(folder: Path, stage: str, table: pa.Table) -> None:
    """Write a finished stage of one part."""
    run_dir, work = RunDir(folder), Work(stage, "f0")
    run_dir.begin(work)
    run_dir.write_part(work, 0, table)
    files = run_dir.files_of(work)
    run_dir.complete(stage, StageRecord(fingerprint="f0", parts=1, files=files, seconds=0.0))
