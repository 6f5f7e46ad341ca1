"""The records of a run: each vouches for itself, they fit each other, and no file is left out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord, digest_of, fault_of
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.tables import shortened
from laion_eo.pipeline.history import HISTORY, History
from laion_eo.pipeline.manifest import MANIFEST, Manifest, StageRecord
from laion_eo.pipeline.records import PROGRESS, SEAL, Records
from laion_eo.pipeline.run_dir import RUN_FILE
from laion_eo.pipeline.stages import STAGES, Publishing

STEPS = (*STAGES, Publishing)
"""The steps of a run, in their order."""
NAMES = tuple(step.name for step in STEPS)
RECORDS = ".stages"


@dataclass
class Recorded:
    """What the records of a run say, as far as they can be believed.

    Attributes:
        records: Of each complete step.
        manifest: The manifest, if its seal is whole.
        has_ended: Whether the seal is there, which is written last.
        begun: Files that the journal of a step in work vouches for.
    """

    records: dict[str, StageRecord] = field(default_factory=dict)
    manifest: Manifest | None = None
    has_ended: bool = False
    begun: list[FileRecord] = field(default_factory=list)

    def names(self) -> set[str]:
        """Return every file that is vouched for, relative to the run."""
        done = [file.path for record in self.records.values() for file in record.files]
        return {*done, *(file.path for file in self.begun)}


def check_records(findings: Findings) -> Recorded:
    """Read the records of a run, and compare every file with what vouches for it."""
    folder = findings.root / RECORDS
    records = Records(folder)
    found = Recorded(has_ended=(folder / f"{SEAL}.json").is_file() and bool(records.seal()))
    missing = []
    for name in NAMES:
        path = folder / f"{name}.json"
        record = records.load(name) if path.is_file() else None  # a pipe would never end
        if path.is_symlink():
            findings.fault(path, "it is a link")
        if record is not None:
            found.records[name] = record
            findings.checked(path.stat().st_size)
        elif path.exists() or path.is_symlink():
            findings.fault(path, "it is not as it was written")
        elif found.has_ended:
            findings.fault(path, "it is gone, so nothing vouches for what that step left")
        else:
            missing.append(name)
    _check_seal(findings, records, found, missing)
    _check_history(findings, found)
    _check_extra_records(findings, records, found)
    _check_chain(findings, found)
    for record in found.records.values():
        for file in record.files:
            check_file(findings, file)
    return found


def check_file(findings: Findings, file: FileRecord) -> None:
    """Compare a file of the run with its record."""
    fault = fault_of(findings.root, file, thorough=findings.thorough)
    if fault is not None:
        findings.fault(file.path, fault)
    findings.checked(file.bytes)


def _check_seal(findings: Findings, records: Records, found: Recorded, missing: list[str]) -> None:
    """Check what vouches for the manifest and the run file, and what these say."""
    path = records.folder / f"{SEAL}.json"
    seal = records.seal() if path.is_file() else None
    if path.is_symlink():
        findings.fault(path, "it is a link")
    if seal is None:
        there = path.exists() or path.is_symlink()
        steps = f"; not complete: {', '.join(missing)}" if missing else ""
        gone = f"it is not there, so the run has not ended{steps}"
        findings.fault(path, "it is not as it was written" if there else gone)
        return
    findings.checked(path.stat().st_size)
    history = f"{RECORDS}/{HISTORY}"
    wanted = {MANIFEST, RUN_FILE, *([history] if (findings.root / history).exists() else [])}
    if lacking := wanted - {file.path for file in seal.files}:
        findings.fault(path, f"it does not vouch for {min(lacking)}")
    for file in seal.files:
        check_file(findings, file)
    if not findings.is_faulty(MANIFEST):
        _check_manifest(findings, found)


def _check_manifest(findings: Findings, found: Recorded) -> None:
    try:
        found.manifest = manifest = Manifest.load(findings.root)
    except DataError as error:
        findings.fault(MANIFEST, shortened(str(error).partition(": ")[2]))
        return
    except RecursionError:
        findings.fault(MANIFEST, "it is nested too deeply")
        return
    for name in NAMES:
        record = found.records.get(name)
        if record is not None and manifest.stages.get(name) != record:
            findings.fault(MANIFEST, f"what it says of {name!r} is not what {RECORDS} says")
    if strangers := set(manifest.stages) - set(NAMES):
        findings.fault(MANIFEST, f"it speaks of {min(strangers)!r}, which is no step of a run")
    if findings.is_faulty(RUN_FILE):
        return
    resolved = _canonical(manifest.resolved.model_dump(mode="json"))
    if _canonical(_toml(findings.root / RUN_FILE)) != resolved:
        findings.fault(RUN_FILE, f"it is not the run that {MANIFEST} describes")


def _toml(path: Path) -> object:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _canonical(value: object) -> str:
    """Return one text for values that are the same but for nulls, which TOML cannot say."""
    return json.dumps(_without_null(value), sort_keys=True)


def _without_null(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list | tuple) else value


def _check_history(findings: Findings, found: Recorded) -> None:
    """See that each line of the history is whole, and that the manifest tells the same."""
    path = findings.root / RECORDS / HISTORY
    if path.is_symlink() or (path.exists() and not path.is_file()):
        findings.fault(path, "it is a link, or no file")
        return
    history = History(path)
    if history.damaged and not findings.is_faulty(f"{RECORDS}/{HISTORY}"):
        findings.fault(path, f"{history.damaged:,} of its lines are not as they were written")
    if found.manifest and found.manifest.history != history.sessions:
        findings.fault(MANIFEST, f"its history is not that of {RECORDS}/{HISTORY}")


def _check_extra_records(findings: Findings, records: Records, found: Recorded) -> None:
    """Look at what else lies beside the records: the journals of steps in work, or strangers."""
    ours = {f"{name}.json" for name in (*NAMES, SEAL)} | {HISTORY}
    journals = {path.name: path for name in NAMES for path in records.progress_paths(name)}
    if records.folder.is_symlink():
        findings.fault(records.folder, "it is a link")
    for path in sorted(records.folder.glob("*")):
        if path.name in ours:
            continue
        if path.name not in journals or path.is_symlink() or not path.is_file():
            findings.fault(path, "no run leaves such a file")
        elif found.has_ended:
            findings.fault(path, "a step is in work, though the run has ended; run it again")
        else:
            found.begun += records.finished(path)
            findings.checked(path.stat().st_size)


def _check_chain(findings: Findings, found: Recorded) -> None:
    """See that each step was made of what the steps before it have left, and names its files."""
    for step in STEPS:
        record = found.records.get(step.name)
        if record is None:
            continue
        path = f"{RECORDS}/{step.name}.json"
        for need in step.needs:
            before = found.records.get(need)
            if before is not None and record.inputs.get(need) != digest_of(before.files):
                findings.fault(path, f"it was made of other files than {need!r} has now")
        if step is Publishing:
            ours = all(file.path.startswith(f"{step.name}/") for file in record.files)
        else:
            ours = record.parts == len(record.files) and all(
                file.path == f"{step.name}/part-{number:05d}-{record.fingerprint}.parquet"
                for number, file in enumerate(record.files)
            )
        if not ours or not record.files:
            findings.fault(path, "the files that it names are not those of that step")


def is_of_an_older_version(run: Path) -> bool:
    """Tell whether a run's records are those of a version that kept no hashes: all of them."""
    folder = run / RECORDS
    found = [path for path in folder.glob("*") if not path.name.endswith(PROGRESS)]
    return bool(found) and all(_has_no_hashes(path) for path in found)


def _has_no_hashes(path: Path) -> bool:
    try:
        content = json.loads(path.read_text("utf-8") if path.is_file() else "")
        return path.stem in NAMES and not StageRecord.model_validate(content).files
    except (OSError, ValueError, RecursionError, ValidationError):
        return False
