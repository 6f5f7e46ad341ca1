"""A run's records, one definition each: what a step leaves behind, and the manifest of them all.

They are read back by later versions and by other programs, so their keys stay; new ones may come.
``docs/manifest.schema.json`` is the JSON Schema of :class:`Manifest`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from laion_eo.config import Model, RunConfig
from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord
from laion_eo.redaction import redacted_json

FORMAT = 1
"""The manifest's format; raised where a reader of the last one would misunderstand the next."""
MANIFEST = "manifest.json"
"""Its name in a run directory."""


class Provider(Model):
    """Who provides a component.

    Attributes:
        plugin: Name of the plugin.
        distribution: The installed package behind it, with its version.
    """

    plugin: str
    distribution: str


class Software(Model):
    """The versions that a session ran with.

    Attributes:
        laion_eo: Of laion-eo.
        python: Of Python.
        packages: Of the installed packages that change numbers.
    """

    laion_eo: str
    python: str
    packages: dict[str, str]


class Machine(Model):
    """The machine that a session ran on. Neither its name nor its user's is recorded.

    Attributes:
        system: The operating system; on Linux with the C library, whose functions differ.
        architecture: Such as ``x86_64``.
        processor: The processor's name, as far as the system says it.
        cpus: How many of its CPUs the process may use.
        accelerator: The GPUs that torch was using; ``None`` if there were none.
    """

    system: str
    architecture: str
    processor: str
    cpus: int = Field(ge=1)
    accelerator: str | None = None


class Maker(Model):
    """A session that worked on a step: what made its output, and when.

    Attributes:
        session: The session's id, under which the history has it.
        started: When it began this step, UTC.
        ended: When the step was complete; ``None`` for a session that was stopped before.
        parts: The parts that it finished: the first and the last number of each range. Empty for
            the dataset, which has none, and for a session that left only what a later one
            continued from: downloaded images, or searched shards.
        software: The versions.
        machine: The machine of the process that ran the step; with Ray, its workers are others.
        engine: ``local`` or ``ray``.
        components: Who provided each component of the step, by kind and name.
    """

    session: str
    started: AwareDatetime
    ended: AwareDatetime | None = None
    parts: tuple[tuple[int, int], ...] = ()
    software: Software
    machine: Machine
    engine: str
    components: dict[str, dict[str, Provider]] = Field(default_factory=dict)


class StageRecord(Model):
    """What a complete step leaves behind beside its output.

    Attributes:
        fingerprint: Of the step's options, its data and the steps before.
        code_version: Version of the step's own code, raised when it changes what comes out.
        inputs: By name, the digest of what each step that it needs had left.
        parts: Files of its table; 0 for the dataset, which is a folder of its own.
        files: Each file that it left, with its size and hash; paths start at the run directory.
        seconds: Time that its last session took.
        counts: What it kept and dropped, by reason.
        facts: Model ids and the hashes of their weights, thresholds and the like, by component.
        made_by: The sessions that made it, oldest first; several if it was resumed. It stays as it
            is for as long as the step is up to date, whatever version looks at it.
    """

    fingerprint: str
    code_version: int = Field(default=1, ge=1)
    inputs: dict[str, str] = Field(default_factory=dict)
    parts: int = Field(ge=0)
    files: tuple[FileRecord, ...] = ()
    seconds: float = Field(ge=0.0)
    counts: dict[str, int] = Field(default_factory=dict)
    facts: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    made_by: tuple[Maker, ...] = ()


class StageDone(Model):
    """A step that was completed once, in the history of a run.

    Attributes:
        step: Its name.
        fingerprint: As in its record, and so are the others.
        inputs: By name, the digest of what each step that it needs had left.
        digest: Of its own files, as those who need it have it among their inputs.
        counts: What it kept and dropped, by reason.
        made_by: The sessions that made it.
    """

    step: str
    fingerprint: str
    inputs: dict[str, str] = Field(default_factory=dict)
    digest: str
    counts: dict[str, int] = Field(default_factory=dict)
    made_by: tuple[Maker, ...] = Field(min_length=1)


class Session(Model):
    """One ``laion-eo run`` that had work to do, in the history of a run.

    Attributes:
        session: Its id.
        started: When its first step began, UTC.
        software: The versions.
        machine: The machine.
        run_file: SHA-256 of the ``run.toml`` that it wrote; ``None`` if that is no longer known.
        stages: The steps that it completed, in order.
        ended: When it ended, UTC; ``None`` if it was killed, or still runs.
        outcome: ``done``, ``failed`` or ``stopped`` (Ctrl-C).
        failed_in: The step in which it failed or was stopped.
        error: The class of its error; what the error said stands in ``traceback.txt``.
    """

    session: str
    started: AwareDatetime
    software: Software
    machine: Machine
    run_file: str | None = None
    stages: tuple[StageDone, ...] = ()
    ended: AwareDatetime | None = None
    outcome: Literal["done", "failed", "stopped"] | None = None
    failed_in: str | None = None
    error: str | None = None


class Seal(Model):
    """What vouches for the files of a run that no step leaves.

    Attributes:
        files: ``manifest.json``, ``run.toml``, the history, and the receipt if there is one.
    """

    files: tuple[FileRecord, ...]


class Manifest(BaseModel):
    """Every number of a run, and what made it. A plugin may add keys of its own.

    ``laion_eo``, ``python``, ``packages``, ``components`` and ``broken_plugins`` are of the session
    that wrote the manifest. What made each stage is said by its record (``stages.NAME.made_by``),
    and an upgrade between two sessions makes the two differ.

    Attributes:
        version: The manifest's format; one without it is of format 1.
        laion_eo: Version of laion-eo that wrote the manifest.
        python: Version of Python, likewise.
        packages: Versions of the packages that change numbers, likewise.
        run: The run file as it was written.
        resolved: The same with every default; secrets are references.
        seed: Seed of everything random.
        components: Who provides each component, by kind and name.
        broken_plugins: What could not be loaded, and why.
        stages: The record of each complete step, by name.
        history: Every session that had work to do in this directory, oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    version: int = Field(default=FORMAT, ge=1, le=FORMAT)
    laion_eo: str
    python: str
    packages: dict[str, str]
    run: dict[str, JsonValue]
    resolved: RunConfig
    seed: int
    components: dict[str, dict[str, Provider]]
    broken_plugins: list[str]
    stages: dict[str, StageRecord]
    history: tuple[Session, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a ``manifest.json``.

        Args:
            path: The file, or the run directory that holds it.

        Raises:
            DataError: It is not there, is damaged, or was written by a newer laion-eo.
        """
        file = path / MANIFEST if path.is_dir() else path
        if file.exists() and not file.is_file():
            raise DataError(f"{file}: not a run's manifest: it is no file.")
        try:
            data = json.loads(file.read_text("utf-8"))
            found = data.get("version", FORMAT)
            if isinstance(found, int) and found > FORMAT:
                raise DataError(
                    f"{file}: a manifest of format {found}, and this laion-eo reads {FORMAT}: "
                    "upgrade laion-eo."
                )
            return cls.model_validate(data)
        except FileNotFoundError:
            raise DataError(f"{file}: there is no such manifest: has the run ended?") from None
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{file}: not a run's manifest: {_first_fault(error)}.") from None

    def dump(self) -> dict[str, JsonValue]:
        """Return the manifest as the plain JSON that hooks get and the file holds."""
        return self.model_dump(mode="json")


def to_json(
    value: Mapping[str, object], nan: Literal["null", "constants"] = "null"
) -> dict[str, JsonValue]:
    """Return what a plugin or a run file says as JSON: what JSON does not know, as text.

    Secrets that a plugin says become ``***``.

    Args:
        value: Numbers of numpy become numbers.
        nan: What becomes of NaN and infinities: null, or what Python's own JSON knows.

    Raises:
        ValueError: The value contains itself.
    """
    plain = to_jsonable_python(value, inf_nan_mode=nan, fallback=_number_or_text)
    found: dict[str, JsonValue] = redacted_json(plain)
    return found


def _number_or_text(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


def _first_fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return " ".join(str(error).split())
