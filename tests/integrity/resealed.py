"""Alterations of a run by somebody who writes every record anew, so that all hashes are right."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from integrity.alterations import Alteration
from integrity.altering import column, dropped, rows

from laion_eo.file_record import digest_of, record_file
from laion_eo.integrity.runs.records import STEPS
from laion_eo.pipeline.run_dir import RunDir


def reseal(run: Path) -> None:
    """Write every record of a run anew, for the files that are there."""
    run_dir = RunDir(run)
    records = {step.name: run_dir.record(step.name) for step in STEPS}
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    for step in STEPS:
        old = records[step.name]
        assert old
        files = tuple(
            record_file(
                run,
                run / file.path,
                pq.read_metadata(run / file.path).num_rows
                if file.path.endswith(".parquet")
                else None,
            )
            for file in old.files
        )
        inputs = {}
        for name in step.needs:
            before = records[name]
            assert before
            inputs[name] = digest_of(before.files)
        new = old.model_copy(update={"files": files, "inputs": inputs})
        records[step.name] = new
        run_dir.records.save(step.name, new)
        manifest["stages"][step.name] = new.model_dump(mode="json")
    (run / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    run_dir.seal()


def _turned(run: Path) -> None:
    def turn(table: pa.Table) -> pa.Table:
        place = pc.index(table["kept"], value=True).as_py()
        values = table.to_pylist()
        values[place] |= {"kept": False, "filter": "min-size", "reason": "too nice"}
        return pa.Table.from_pylist(values, schema=table.schema)

    rows(run, "verdicts/part-*", turn)
    reseal(run)


def _lost(run: Path) -> None:
    rows(run, "candidates/part-*", dropped)
    reseal(run)


def _raised(run: Path) -> None:
    rows(run, "scores/part-00000-*", column("image_similarity", lambda value: value + 1e-6))
    reseal(run)


def _counted(run: Path) -> None:
    records = RunDir(run).records
    record = records.load("verdicts")
    assert record
    counts = {**record.counts, "kept": record.counts["kept"] + 1}
    records.save("verdicts", record.model_copy(update={"counts": counts}))
    reseal(run)


RESEALED: tuple[Alteration, ...] = (
    Alteration("a verdict turned, and sealed", _turned, ("dataset", "verdicts")),
    Alteration("a candidate lost, and sealed", _lost, ("candidates", "downloads", "scores")),
    Alteration("a score changed, and sealed", _raised, ("dataset",)),
    Alteration("counts changed, and sealed", _counted, (".stages/verdicts.json",)),
)
"""Only the tables give them away."""
