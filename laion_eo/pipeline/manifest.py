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
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from laion_eo.config import Model, RunConfig
from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord

FORMAT = 1
"""The manifest's format; raised where a reader of the last one would misunderstand the next."""
MANIFEST = "manifest.json"
"""Its name in a run directory."""


class StageRecord(Model):
    """What a complete step leaves behind beside its output.

    Attributes:
        fingerprint: Of the step's options, its data and the steps before.
        inputs: By name, the digest of what each step that it needs had left.
        parts: Files of its table; 0 for the dataset, which is a folder of its own.
        files: Each file that it left, with its size and hash; paths start at the run directory.
        seconds: Time that its last session took.
        counts: What it kept and dropped, by reason.
        facts: Model hashes, thresholds and the like, by component.
    """

    fingerprint: str
    inputs: dict[str, str] = Field(default_factory=dict)
    parts: int = Field(ge=0)
    files: tuple[FileRecord, ...] = ()
    seconds: float = Field(ge=0.0)
    counts: dict[str, int] = Field(default_factory=dict)
    facts: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


class Seal(Model):
    """What vouches for the files of a run that no step leaves.

    Attributes:
        files: ``manifest.json`` and ``run.toml``.
    """

    files: tuple[FileRecord, ...]


class Provider(Model):
    """Who provides a component.

    Attributes:
        plugin: Name of the plugin.
        distribution: The installed package behind it, with its version.
    """

    plugin: str
    distribution: str


class Manifest(BaseModel):
    """Every number of a run, and what made it. A plugin may add keys of its own.

    Attributes:
        version: The manifest's format; one without it is of format 1.
        laion_eo: Version of laion-eo.
        python: Version of Python.
        packages: Versions of the packages that change numbers.
        run: The run file as it was written.
        resolved: The same with every default; secrets are references.
        seed: Seed of everything random.
        components: Who provides each component, by kind and name.
        broken_plugins: What could not be loaded, and why.
        stages: The record of each complete step, by name.
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

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a ``manifest.json``.

        Args:
            path: The file, or the run directory that holds it.

        Raises:
            DataError: It is not there, is damaged, or was written by a newer laion-eo.
        """
        file = path / MANIFEST if path.is_dir() else path
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

    Args:
        value: Numbers of numpy become numbers.
        nan: What becomes of NaN and infinities: null, or what Python's own JSON knows.

    Raises:
        ValueError: The value contains itself.
    """
    plain: dict[str, JsonValue] = to_jsonable_python(
        value, inf_nan_mode=nan, fallback=_number_or_text
    )
    return plain


def _number_or_text(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


def _first_fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return " ".join(str(error).split())
