"""The run directory: where every step leaves its output, and how a killed run resumes.

Parts are named ``part-00003-<fingerprint>.parquet``; they are written aside and renamed, so that
each is complete or not there. A step that is complete has a record in ``.stages/``; parts of other
fingerprints are then deleted.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from laion_eo.errors import ConfigError, RunError
from laion_eo.files import WORKING, write_atomically
from laion_eo.pipeline.manifest import StageRecord

_PART = re.compile(r"part-(\d+)-([0-9a-f]+)\.parquet")
_LOCK = ".lock"
_SCRATCH = ".shards"


class RunDir:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def images(self) -> Path:
        """Folder of the downloaded images."""
        return self.path / "images"

    @property
    def dataset(self) -> Path:
        """Folder of the finished dataset: what the Hub gets."""
        return self.path / "dataset"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for this process alone; the lock of a killed process is no lock.

        Raises:
            ConfigError: It is a folder with files that no run left, which a run could overwrite.
            RunError: Another process works in it.
        """
        marker = self.path / _LOCK
        if self.path.is_dir() and any(self.path.iterdir()) and not marker.is_file():
            raise ConfigError(
                f"{self.path}: holds files that no run left; name a new or empty folder with --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        # The file stays: it marks the folder as a run's. It also keeps filelock from falling back
        # to a lock that a killed process leaves behind.
        lock = FileLock(marker, timeout=0, preserve_lock_file=True)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"{self.path}: another laion-eo works in this directory.") from None
        try:
            yield
        finally:
            lock.release()

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run atomically."""
        write_atomically(self.path / name, text.encode())

    def write_image(self, name: str, content: bytes) -> None:
        """Store an image under its content's name, unless it is there already."""
        path = self.images / name
        if not path.exists():
            write_atomically(path, content)

    def sweep_images(self) -> None:
        """Delete the temporary files that a killed process left among the images."""
        for leftover in self.images.glob(f"*{WORKING}"):
            leftover.unlink()

    def scratch(self, stage: str) -> Path:
        """Return the folder for what a stage keeps until it is complete, and which is gone then."""
        return self.path / stage / _SCRATCH

    def part(self, stage: str, index: int, fingerprint: str) -> Path:
        """Return the path of one part of a stage's table."""
        return self.path / stage / f"part-{index:05d}-{fingerprint}.parquet"

    def write_part(self, stage: str, index: int, fingerprint: str, table: pa.Table) -> None:
        """Write one part of a stage's table atomically."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_atomically(self.part(stage, index, fingerprint), sink.getvalue().to_pybytes())

    def parts(self, stage: str, fingerprint: str | None = None) -> list[Path]:
        """Return the parts of a stage in order, of one fingerprint or of all."""
        found = []
        for path in sorted((self.path / stage).glob("part-*.parquet")):
            match = _PART.fullmatch(path.name)
            if match and fingerprint in (None, match[2]):
                found.append(path)
        return found

    def done(self, stage: str, fingerprint: str) -> set[int]:
        """Return the numbers of the parts that are there."""
        return {int(path.name.split("-")[1]) for path in self.parts(stage, fingerprint)}

    def read(self, stage: str, columns: list[str] | None = None) -> pa.Table:
        """Read the table of a complete stage.

        Raises:
            RunError: The stage has not been completed in this directory.
        """
        record = self.record(stage)
        if record is None:
            raise RunError(f"{self.path}: the stage {stage!r} is not complete; run it first.")
        return self.read_parts(stage, record.fingerprint, columns)

    def read_parts(
        self, stage: str, fingerprint: str, columns: list[str] | None = None
    ) -> pa.Table:
        """Read the parts of one fingerprint as one table."""
        parts = self.parts(stage, fingerprint)
        if not parts:
            return pa.table({})
        return pa.concat_tables([pq.read_table(path, columns=columns) for path in parts])

    def record(self, step: str) -> StageRecord | None:
        """Return the record of a complete step; ``None`` if there is none, or a damaged one."""
        try:
            data = json.loads(self._record_path(step).read_text("utf-8"))
            return StageRecord.model_validate(data)
        except (FileNotFoundError, ValueError):
            return None

    def records(self, steps: Iterable[str]) -> dict[str, StageRecord]:
        """Return the records of those of the steps that are complete, by name."""
        found = {step: self.record(step) for step in steps}
        return {step: record for step, record in found.items() if record}

    def _record_path(self, step: str) -> Path:
        return self.path / ".stages" / f"{step}.json"

    def is_complete(self, step: str, fingerprint: str) -> bool:
        """Tell whether the output of a step is there, complete and of the wanted fingerprint."""
        record = self.record(step)
        if record is None or record.fingerprint != fingerprint:
            return False
        if step == self.dataset.name:
            return self.dataset.is_dir()
        return len(self.parts(step, fingerprint)) == record.parts

    def begin(self, step: str, fingerprint: str) -> None:
        """Note that the work on a step begins: no record may speak of output that it changes.

        The dataset is written in place, so its record goes. A table's parts carry their fingerprint
        in their names: the record of another one stays true, and returning to those options costs
        nothing, until :meth:`complete` replaces it and deletes what it spoke of.
        """
        record = self.record(step)
        if record and (step == self.dataset.name or record.fingerprint == fingerprint):
            self._record_path(step).unlink()

    def complete(self, step: str, record: StageRecord) -> None:
        """Mark a step complete and delete what earlier fingerprints and its own work left."""
        content = json.dumps(record.model_dump(mode="json"), indent=1).encode()
        write_atomically(self._record_path(step), content)
        current = set(self.parts(step, record.fingerprint))
        for path in self.parts(step):
            if path not in current:
                path.unlink()
        for leftover in (self.path / step).glob(f"*{WORKING}"):
            leftover.unlink()
        shutil.rmtree(self.scratch(step), ignore_errors=True)
