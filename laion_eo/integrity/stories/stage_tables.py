"""The tables of a run, whichever of them are complete, and what the run file said."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laion_eo.config import Choice, RunConfig
from laion_eo.errors import ConfigError, DataError
from laion_eo.file_record import FileRecord
from laion_eo.integrity.runs.records import NAMES
from laion_eo.integrity.tables import shortened
from laion_eo.integrity.verify import kind_of
from laion_eo.pipeline.manifest import MANIFEST, Manifest, StageRecord
from laion_eo.pipeline.run_dir import RUN_FILE, RunDir
from laion_eo.registry import BUILTIN


class StageTables:
    """Reads the complete tables of a run directory, a part at a time; each file is checked first.

    Args:
        run: The run directory.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, run: Path) -> None:
        if kind_of(run) != "run":
            raise ConfigError(f"{run}: no run directory; `laion-eo run` makes one.")
        self.run = run
        self._run_dir = RunDir(run)
        self._records = self._run_dir.all_records(NAMES)

    def has(self, step: str) -> bool:
        """Tell whether a step is complete."""
        return step in self._records

    def record(self, step: str) -> StageRecord | None:
        """Return the record of a complete step."""
        return self._records.get(step)

    def parts(self, step: str) -> list[FileRecord]:
        """Return the Parquet files of a complete step, in order."""
        files = sorted(self._records[step].files, key=lambda file: file.path)
        return [file for file in files if file.path.endswith(".parquet")]

    def where(
        self, stage: str, column: str, values: Sequence[object], columns: list[str] | None = None
    ) -> pa.Table:
        """Return the rows of a stage that have one of some values.

        Args:
            stage: A complete stage.
            column: The column to look in.
            values: What to look for.
            columns: What to return; all columns by default.

        Raises:
            DataError: A file of the stage is gone or damaged.
        """
        found = []
        for file in self.parts(stage):
            wanted = None if columns is None else list(dict.fromkeys([*columns, column]))
            table = self.read(file, wanted)
            value_set = pa.array(values, table.schema.field(column).type)
            found.append(table.filter(pc.is_in(table[column], value_set=value_set)))
        return pa.concat_tables(found)

    def all(self, stage: str, columns: list[str]) -> pa.Table:
        """Return some columns of a complete stage.

        Raises:
            DataError: A file of the stage is gone or damaged.
        """
        return pa.concat_tables([self.read(file, columns) for file in self.parts(stage)])

    def read(self, file: FileRecord, columns: list[str] | None) -> pa.Table:
        """Read some columns of a file that is as it was written.

        Raises:
            DataError: It is gone or damaged.
        """
        path = self.run / file.path
        fault = self._run_dir.fault(file)
        try:
            if fault is None:
                with pq.ParquetFile(path) as parquet:
                    return parquet.read(columns=columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            fault = f"it is damaged: {shortened(error)}"
        raise DataError(f"{path}: {fault}; `laion-eo verify {self.run}` says what else is wrong.")

    def filters(self) -> tuple[Choice, ...]:
        """Return the filters that made the verdicts, with all their options.

        Raises:
            DataError: The run's own files do not say so.
        """
        return self._made_with.filters

    def built_in_filters(self) -> frozenset[str]:
        """Return the names of the filters that are laion-eo's own."""
        names = frozenset(choice.use for choice in self.filters())
        if self._manifest is None:
            return names
        owners = self._manifest.components.get("filter", {})
        return frozenset(n for n in names if n not in owners or owners[n].plugin == BUILTIN)

    @cached_property
    def _manifest(self) -> Manifest | None:
        """The manifest of the session that made the verdicts; ``None`` before a run has ended."""
        try:
            manifest = Manifest.load(self.run) if (self.run / MANIFEST).is_file() else None
        except (DataError, RecursionError):
            return None
        if manifest is None:
            return None
        verdicts, there = manifest.stages.get("verdicts"), self.record("verdicts")
        same = verdicts and there and verdicts.fingerprint == there.fingerprint
        return manifest if same else None

    @cached_property
    def _made_with(self) -> RunConfig:
        if self._manifest is not None:
            return self._manifest.resolved
        path = self.run / RUN_FILE
        if not path.is_file():
            raise DataError(f"{path}: it is gone; run the same command again.")
        try:
            return RunConfig.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: it is damaged: {shortened(error)}") from None
