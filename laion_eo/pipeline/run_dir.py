"""The run directory: where every stage leaves its table, and how a killed run goes on.

Parts are named ``part-00003-<fingerprint>.parquet`` and appear whole or not at all (written aside,
then renamed). A stage that is complete has a record in ``.stages/``; parts of another fingerprint
are then deleted.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.errors import ConfigError, RunError
from laion_eo.files import WORKING, write_atomically
from laion_eo.types import JSON

_PART = re.compile(r"part-(\d+)-([0-9a-f]+)\.parquet")
_LOCK = ".lock"


@dataclass(frozen=True)
class StageRecord:
    """What a complete stage leaves behind beside its table.

    Attributes:
        fingerprint: Of the stage's inputs and options.
        parts: Files of its table.
        seconds: Time that its last session took.
        counts: What it kept and dropped, by reason.
        facts: Model hashes, thresholds and the like, by component.
    """

    fingerprint: str
    parts: int
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    facts: dict[str, JSON] = field(default_factory=dict)


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
        """Hold the directory for this process alone.

        Raises:
            ConfigError: It is a folder with files that no run left, which a run could overwrite.
            RunError: Another process works in it.
        """
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / _LOCK).is_file():
            raise ConfigError(
                f"{self.path}: holds files that no run left; name a new or empty folder with --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{self.path}: another laion-eo works in this directory.") from None
            yield

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run atomically."""
        write_atomically(self.path / name, text.encode())

    def write_image(self, name: str, content: bytes) -> None:
        """Store an image under its content's name; one that is there already is left alone."""
        path = self.images / name
        if not path.exists():
            write_atomically(path, content)

    def sweep_images(self) -> None:
        """Delete what a killed process left half-written among the images."""
        for leftover in self.images.glob(f"*{WORKING}"):
            leftover.unlink()

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

    def record(self, stage: str) -> StageRecord | None:
        """Return the record of a complete stage, or ``None``."""
        try:
            data = json.loads(self._record_path(stage).read_text("utf-8"))
            return StageRecord(**data)
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def _record_path(self, stage: str) -> Path:
        return self.path / ".stages" / f"{stage}.json"

    def complete(self, stage: str, record: StageRecord) -> None:
        """Mark a stage complete and delete what earlier fingerprints left."""
        content = json.dumps(asdict(record), indent=1).encode()
        write_atomically(self._record_path(stage), content)
        current = set(self.parts(stage, record.fingerprint))
        for path in self.parts(stage):
            if path not in current:
                path.unlink()
        for leftover in (self.path / stage).glob(f"*{WORKING}"):
            leftover.unlink()
