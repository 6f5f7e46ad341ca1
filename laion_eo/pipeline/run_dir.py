"""The run directory: where every step leaves its output, and how a killed run resumes.

Parts are named ``part-00003-<fingerprint>.parquet``; they are written aside, synced and renamed, so
that each is complete or not there. A file counts only if a record vouches for it
(:mod:`laion_eo.pipeline.records`) and it is still what that record says; any other is made again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from laion_eo.dataset.receipt import RECEIPT
from laion_eo.errors import ConfigError, RunError
from laion_eo.file_record import FileRecord, digest_of, fault_of, record_file
from laion_eo.files import (
    WORKING,
    make_folder,
    restore_folder,
    sync_folder,
    write_atomically,
)
from laion_eo.fingerprint import file_sha256
from laion_eo.pipeline.history import HISTORY
from laion_eo.pipeline.manifest import MANIFEST, Maker, Seal, StageRecord
from laion_eo.pipeline.records import PART, Records, Work, part_number

logger = logging.getLogger("laion_eo")

RUN_FILE = "run.toml"
_LOCK = ".lock"
_SCRATCH = ".shards"


def is_run_dir(path: Path) -> bool:
    """Tell whether a run has worked in a folder."""
    return (path / _LOCK).is_file()


class RunDir:
    """The folder of one run.

    Args:
        path: The folder.
        thorough: Hash what is taken over whole, however large it is.
        reused: Other run directories whose embeddings may be taken over.
    """

    def __init__(self, path: Path, *, thorough: bool = False, reused: Iterable[Path] = ()) -> None:
        self.path = path
        self.thorough = thorough
        self.reused = [RunDir(other, thorough=thorough) for other in reused]
        self.records = Records(path / ".stages")
        self._sound: dict[FileRecord, tuple[int, int, int]] = {}
        self._maker: tuple[Work, Maker] | None = None

    @property
    def images(self) -> Path:
        """Folder of the downloaded images."""
        return self.path / "images"

    @property
    def dataset(self) -> Path:
        """Folder of the finished dataset: what the Hub gets."""
        return self.path / "dataset"

    @property
    def history(self) -> Path:
        """What every session did here."""
        return self.records.folder / HISTORY

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for this process alone; the lock of a killed process is no lock.

        What a killed process left half-written is removed.

        Raises:
            ConfigError: It is a folder with files that no run left, which a run could overwrite.
            RunError: Another process works in it.
        """
        marker = self.path / _LOCK
        if self.path.is_dir() and any(self.path.iterdir()) and not marker.is_file():
            raise ConfigError(
                f"{self.path}: holds files that no run left; name a new or empty folder with --out."
            )
        make_folder(self.path)
        # The file stays: it marks the folder as a run's. It also keeps filelock from falling back
        # to a lock that a killed process leaves behind.
        lock = FileLock(marker, timeout=0, preserve_lock_file=True)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"{self.path}: another laion-eo works in this directory.") from None
        try:
            sync_folder(self.path)
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove temporary files, and parts that no record vouches for."""
        restore_folder(self.dataset)
        for leftover in self.path.glob(f".*{WORKING}"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
        for pattern in (f"*{WORKING}", f"*/*{WORKING}", f"*/{_SCRATCH}/*/*{WORKING}"):
            for leftover in self.path.glob(pattern):
                leftover.unlink()
        for folder in {path.parent for path in self.path.glob("*/part-*.parquet")}:
            vouched = {self.path / record.path for record in self._vouched(folder.name)}
            for path in self.parts(folder.name):
                if path not in vouched:
                    path.unlink()

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run atomically."""
        # A traceback quotes strangers, whose text may hold half characters.
        write_atomically(self.path / name, text.encode("utf-8", "backslashreplace"))

    def seal(self) -> None:
        """Vouch for the run's own files, which are written last."""
        paths = [self.path / MANIFEST, self.path / RUN_FILE, self.history, self.path / RECEIPT]
        files = [record_file(self.path, path) for path in paths if path.is_file()]
        self.records.save_seal(Seal(files=tuple(files)))

    def history_fault(self) -> str | None:
        """Return what is wrong with the history, as far as the last seal knows it."""
        seal = self.records.seal()
        name = self.history.relative_to(self.path).as_posix()
        known = [file for file in seal.files if file.path == name] if seal else []
        return self.fault(known[0]) if known else None

    def scratch(self, stage: str) -> Path:
        """Return the folder for what a stage keeps until it is complete, and which is gone then."""
        return self.path / stage / _SCRATCH

    def part(self, work: Work, index: int) -> Path:
        """Return the path of one part of a stage's table."""
        return self.path / work.step / f"part-{index:05d}-{work.fingerprint}.parquet"

    def write_part(self, work: Work, index: int, table: pa.Table) -> None:
        """Write one part of a stage's table atomically, and note that it is there.

        Raises:
            OSError: The disk cannot take it.
        """
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        path = self.part(work, index)
        write_atomically(path, sink.getvalue().to_pybytes())
        record = record_file(self.path, path, table.num_rows)
        self._note_sound(record)
        self.records.add(work, record, self._maker[1].session if self._maker else "")

    def note_maker(self, work: Work, maker: Maker) -> None:
        """Note the session that makes the parts written from now on, unless that is known."""
        if self._maker != (work, maker):
            self.records.note(work, maker)
            self._maker = work, maker

    def makers(self, work: Work) -> tuple[Maker, ...]:
        """Return the sessions that worked on a stage, oldest first, with the parts of each.

        One that finished none counts only where a later one may have continued from what it left.
        """
        leaves = self.scratch(work.step).is_dir() or any(self._journals(work.step))
        return tuple(maker for maker in self.records.makers(work) if maker.parts or leaves)

    def _journals(self, stage: str) -> Iterator[Path]:
        return (self.path / stage).glob("journal-*")

    def parts(self, stage: str, fingerprint: str | None = None) -> list[Path]:
        """Return the parts of a stage in order, of one fingerprint or of all."""
        found = []
        for path in sorted((self.path / stage).glob("part-*.parquet")):
            match = PART.fullmatch(path.name)
            if match and fingerprint in (None, match[2]):
                found.append(path)
        return found

    def done(self, work: Work) -> set[int]:
        """Return the numbers of the parts of unfinished work that are there, and sound."""
        records = self.records.finished_of(work)
        return {part_number(record.path) for record in records if self.fault(record) is None}

    def sound_parts(self, stage: str) -> list[Path]:
        """Return the parts of a stage, of whatever fingerprint, that a record vouches for."""
        records = self._vouched(stage)
        return [self.path / record.path for record in records if self.fault(record) is None]

    def _vouched(self, stage: str) -> list[FileRecord]:
        record = self.record(stage)
        found = list(record.files) if record else []
        for path in self.records.progress_paths(stage):
            found += self.records.finished(path)
        return found

    def fault(self, record: FileRecord) -> str | None:
        """Return what is wrong with a file, or ``None``; it is read once, until it changes."""
        if record in self._sound and self._sound[record] == self._stat(record):
            return None
        found = fault_of(self.path, record, thorough=self.thorough)
        if found is None:
            self._note_sound(record)
        return found

    def _note_sound(self, record: FileRecord) -> None:
        if stat := self._stat(record):
            self._sound[record] = stat

    def _stat(self, record: FileRecord) -> tuple[int, int, int] | None:
        try:
            stat = (self.path / record.path).lstat()
        except OSError:
            return None
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def read(self, stage: str, columns: list[str] | None = None) -> pa.Table:
        """Read the table of a complete stage.

        Raises:
            RunError: The stage has not been completed in this directory, or a part is damaged.
        """
        record = self.record(stage)
        if record is None:
            raise RunError(f"{self.path}: the stage {stage!r} is not complete; run it first.")
        return self._tables([self.path / file.path for file in record.files], columns)

    def read_done(self, work: Work) -> pa.Table:
        """Read the parts of a stage in work that are finished, as one table.

        Raises:
            RunError: A part is damaged.
        """
        return self._tables([self.path / file.path for file in self.records.finished_of(work)])

    def _tables(self, paths: Sequence[Path], columns: list[str] | None = None) -> pa.Table:
        tables = [self.read_table(path, columns) for path in paths]
        return pa.concat_tables(tables) if tables else pa.table({})

    def read_table(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        """Read one part.

        Raises:
            RunError: It is gone, or damaged.
        """
        try:
            return pq.read_table(path, columns=columns, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise RunError(
                f"{path}: gone or damaged since it was written; run the same command again, which "
                f"makes it anew ({reason})."
            ) from error

    def metadata_of(self, path: Path) -> dict[bytes, bytes] | None:
        """Return what the schema of a part has beside its columns.

        Raises:
            RunError: It is gone, or damaged.
        """
        return dict(self.read_table(path, []).schema.metadata or {})

    def record(self, step: str) -> StageRecord | None:
        """Return the record of a complete step; ``None`` if there is none, or a damaged one."""
        return self.records.load(step)

    def all_records(self, steps: Iterable[str]) -> dict[str, StageRecord]:
        """Return the records of those of the steps that are complete, by name."""
        found = {step: self.record(step) for step in steps}
        return {step: record for step, record in found.items() if record}

    def work(self, step: str, fingerprint: str, needs: Iterable[str]) -> Work:
        """Return what a step is to make of what the steps before it have left."""
        left = {name: self.record(name) for name in needs}
        inputs = {name: digest_of(record.files) if record else "" for name, record in left.items()}
        return Work(step, fingerprint, inputs)

    def is_complete(self, work: Work) -> bool:
        """Tell whether the output of a step is there, sound, and made of the same inputs."""
        record = self.record(work.step)
        if record is None or record.fingerprint != work.fingerprint:
            return False
        return record.inputs == work.inputs and self.damage(work.step) is None

    def damage(self, step: str) -> str | None:
        """Return which file of a complete step is not what its record says, and why.

        Files that do not belong into the dataset are damage, too: a release would publish them.
        """
        record = self.record(step)
        if record is None:
            return None
        for file in record.files:
            if fault := self.fault(file):
                return f"{file.path}: {fault}"
        if step == self.dataset.name:
            return self._stranger({file.path for file in record.files})
        return None

    def _stranger(self, ours: set[str]) -> str | None:
        if self.dataset.is_symlink():
            return f"{self.dataset.name}: it is a link"
        for path in sorted(self.dataset.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            if name not in ours and (path.is_symlink() or not path.is_dir()):
                return f"{name}: it is not of this run"
        return None

    def set_aside(self, work: Work) -> None:
        """Keep the parts that :meth:`begin` would remove for being made of other inputs.

        They go where the stage keeps what it has until it is complete, each named by its SHA-256.
        """
        record = self.record(work.step)
        if record is None or record.fingerprint != work.fingerprint or record.inputs == work.inputs:
            return
        make_folder(self.scratch(work.step))
        for file in record.files:
            path = self.path / file.path
            if self.fault(file) is None:
                path.rename(self.scratch(work.step) / f"{file_sha256(path)}.parquet")

    def aside(self, stage: str) -> list[Path]:
        """Return the parts that were set aside, and are as they were."""
        found = sorted(self.scratch(stage).glob("*.parquet"))
        return [path for path in found if file_sha256(path) == path.stem]

    def begin(self, work: Work) -> None:
        """Note that the work on a step begins: no record may speak of output that it changes.

        The dataset is written in place, so its record goes. A table's parts carry their fingerprint
        in their names: the record of another one stays true, and returning to those options costs
        nothing, until :meth:`complete` replaces it and deletes what it spoke of. Parts of the same
        fingerprint that are sound, and made of the same inputs, are taken over.
        """
        record = self.record(work.step)
        if work.step == self.dataset.name:
            self.records.remove(work.step)
            return
        if record and record.fingerprint == work.fingerprint:
            same = record.inputs == work.inputs
            kept = [file for file in record.files if same and not self.fault(file)]
            self.records.begin(work, kept, record.made_by if kept else ())
        elif not self.records.begun(work):
            self.records.begin(work, ())
        if record is None or record.fingerprint == work.fingerprint:
            self.records.remove(work.step)
        sound = set(self.sound_parts(work.step))
        for path in self.parts(work.step, work.fingerprint):
            if path not in sound:
                logger.warning("%s: not what was written, or nothing vouches for it", path)
                path.unlink()

    def files_of(self, work: Work, count: int = 0) -> tuple[FileRecord, ...]:
        """Return the records of all parts that a stage has made.

        Args:
            work: What it was to make.
            count: How many parts it said that there would be; 0 if it could not know.

        Raises:
            RunError: Some are missing: somebody else has changed the directory meanwhile.
        """
        files = self.records.finished_of(work)
        whole = [part_number(file.path) for file in files] == list(range(max(count, len(files))))
        if not files or not whole or any(self.fault(file) for file in files):
            raise RunError(
                f"{self.path / work.step}: parts are gone that were there a moment ago; run the "
                "same command again, and let nothing else write into this folder."
            )
        return tuple(files)

    def discard(self, work: Work) -> None:
        """Forget what a stage in work has made: the same work begins anew."""
        self.records.begin(work, ())
        for path in [*self._journals(work.step), *self.parts(work.step, work.fingerprint)]:
            path.unlink()

    def complete(self, step: str, record: StageRecord) -> None:
        """Mark a step complete and delete what earlier fingerprints and its own work left."""
        self.records.save(step, record)
        for progress in self.records.progress_paths(step):
            progress.unlink()
        current = {self.path / file.path for file in record.files}
        for path in self.parts(step):
            if path not in current:
                path.unlink()
        for journal in self._journals(step):
            journal.unlink()
        shutil.rmtree(self.scratch(step), ignore_errors=True)
