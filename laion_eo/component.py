"""What every component of a run is, whatever its kind."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

from pydantic import JsonValue, PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from laion_eo.config import Model, validate
from laion_eo.errors import ConfigError
from laion_eo.references import Place, Written, as_written, refuse_passwords, resolve
from laion_eo.types import JSON


class ComponentConfig(Model):
    """Base of a component's options: frozen, unknown keys refused.

    An option is what it stands for, secrets too. Dumped and shown, it is as it was written: with
    references such as ``{env=NAME}``.
    """

    _written: Mapping[Place, Written] = PrivateAttr(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, JSON], where: str, base: Path | None = None) -> Self:
        """Return the checked options, with the secrets that they refer to.

        Args:
            data: As written.
            where: File and table, for the message.
            base: Folder at which relative paths start; the current one by default.

        Raises:
            ConfigError: They are not valid; a variable that they refer to is not set; or a password
                is written out. One line.
        """
        try:
            refuse_passwords(data)
            values, written = resolve(cls, data)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        except RecursionError:
            raise ConfigError(f"{where}: nested too deeply.") from None
        config = validate(cls, values, where, base, written)
        config._written = written
        return config

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, JSON]:
        other = {name: field.alias for name, field in type(self).model_fields.items()}
        names = {name: alias for name, alias in other.items() if alias}
        return as_written(dump(self), self._written, names)

    def __repr_args__(self) -> Iterable[tuple[str | None, JSON]]:
        """Yield the options as they were written."""
        return self.model_dump().items() if self._written else super().__repr_args__()


WARNINGS = "warnings"
"""The fact, a list of texts, that a run says as warnings when it ends, and the card repeats."""


def _no_progress(done: int, total: int) -> None:
    """Drop the report."""


@dataclass(frozen=True)
class Context:
    """What a run tells its components.

    Attributes:
        work_dir: Folder of the run; ``None`` outside a run.
        seed: Seed of everything random.
        progress: Called with (done, total) by components with long inner loops, such as a
            retriever's scan.
        purpose: What the run is for, in a few words, for whoever is asked for something; ``""``
            where nobody said.
    """

    work_dir: Path | None = None
    seed: int = 0
    progress: Callable[[int, int], None] = _no_progress
    purpose: str = ""


class Component(ABC):
    """A part of the run that a run file chooses by name.

    A subclass sets ``name`` and ``summary``, nests its options as ``Config``, and declares
    ``config: Config`` so that they are typed. ``__init__`` must stay cheap: it runs for
    ``laion-eo plan`` too. Models are loaded in ``setup``.

    Attributes:
        name: kebab-case; what a run file's ``use`` says.
        summary: One line for ``laion-eo plugins``.
        config: The checked options.
        context: What the run tells its components.
        provider: Who registered it: plugin and distribution, for messages. The registry sets it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    provider: str = "no plugin"

    class Config(ComponentConfig):
        """Options of the component."""

    config: ComponentConfig

    def __init__(self, config: ComponentConfig, context: Context) -> None:
        self.config = config
        self.context = context

    def check(self) -> None:  # noqa: B027 - most components need none
        """Raise for what is known, before any work and without loading a model, to be missing.

        A run calls it on every component that has work to do, before the first of them does any;
        ``laion-eo plan`` calls it too, so it must be cheap. For packages there is
        :func:`require_packages`.

        Raises:
            ConfigError: A package, weights or a file; the message says how to get it.
            DataError: Likewise, of data.
        """

    def setup(self) -> None:  # noqa: B027 - likewise
        """Load what is heavy; called once, before the first use."""

    def close(self) -> None:  # noqa: B027 - likewise
        """Let go of files and connections; called once, after the last use."""

    def identity(self) -> JsonValue:
        """Return what, beside the options, changes the component's output: its input files, say.

        It enters the fingerprint of the stages that use the component, so it must be cheap and
        must not need ``setup``.
        """
        return None

    def facts(self) -> dict[str, JsonValue]:
        """Return what the manifest should record of the finished work: model hashes, thresholds.

        A list of texts named :data:`WARNINGS` is said when the run ends, and stands in the card.
        """
        return {}


def require_packages(needed_by: str, modules: Iterable[str], install: str) -> None:
    """Raise for the first package that is not installed, without importing any.

    Args:
        needed_by: The component's name, for the message.
        modules: The top-level modules that it imports.
        install: What brings them all, as pip's argument: ``laion-eo[clip]``.

    Raises:
        ConfigError: One is missing; the message has the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ConfigError(f"{needed_by} needs {module}: pip install '{install}'.")
