"""The run file: TOML in, frozen models out.

A run file has one table per kind of component; ``use`` names the component and the other keys are
its options. The component's own ``Config`` checks the options (see :mod:`laion_eo.registry`); this
module checks only the structure of the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from laion_eo.errors import ConfigError, did_you_mean
from laion_eo.overrides import apply_override
from laion_eo.redaction import redacted
from laion_eo.references import (
    Place,
    Written,
    as_text,
    filled,
    has_reference,
    refuse_passwords,
    reveal,
)
from laion_eo.types import JSON

ModelT = TypeVar("ModelT", bound=BaseModel)
LONGEST_ECHO = 100
"""Characters of a wrong value that a message repeats."""
MOST_FAULTS = 20
"""Faults of one table that a message lists."""
DEEPEST = 30
"""Tables and lists in one another that a run file may have; options have three."""
UNQUOTED = "unquoted"
"""Type of a fault whose value is not quoted in the message: it may be a secret."""


class Model(BaseModel):
    """Base of all option models: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse ``true`` where a number is wanted: for Python it is one."""
        if isinstance(value, bool):
            field = cls.model_fields[info.field_name or ""]
            kinds = {field.annotation, *get_args(field.annotation)}
            if kinds & {int, float} and bool not in kinds:
                raise ValueError("a number was expected")
        return value


class Secret(Model):
    """A secret, written as ``{env = "NAME"}`` in the run file and read only when it is used.

    An option of type ``str`` can be written so too; this type refuses everything else.

    Attributes:
        env: Name of the environment variable that holds the secret.
    """

    env: str

    def reveal(self) -> str:
        """Return the secret.

        Raises:
            ConfigError: The environment variable is not set, or empty.
        """
        return reveal(self.env)


def _absolute(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path())
    # Not resolve(): a symbolic link keeps the name that the run file gives it.
    return Path(os.path.abspath(base / path.expanduser()))  # noqa: PTH100


RunPath = Annotated[Path, AfterValidator(_absolute), PlainSerializer(os.fspath, return_type=str)]
"""A path in a run file; relative ones start at the run file's folder."""


def _absolute_if_path(value: str, info: ValidationInfo) -> str:
    written = Path(value)
    if len(written.parts) == 1 and not value.startswith(("./", "~")):
        return value
    path = _absolute(written, info)
    explicit = value.startswith((".", "~")) or written.is_absolute()
    return str(path) if explicit or path.exists() else value


NameOrRunPath = Annotated[str, AfterValidator(_absolute_if_path)]
"""A name (a tag, ``organization/name`` on the Hub), or a path in a run file.

A word without a slash is a name. A value that begins with ``./``, ``../``, ``~`` or ``/`` is a
path, and so is any other value with a slash if that path exists, relative to the run file's folder.
"""


class Choice(BaseModel):
    """One component of a run: its name, and its options as written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    use: str

    @property
    def options(self) -> dict[str, JSON]:
        """The options, not yet checked."""
        return dict(self.model_extra or {})


NO_LICENSE = "unknown"
"""The Hub's word for a licence that nobody chose yet; such a dataset is not released."""


class DatasetOptions(Model):
    """Name, licence, keywords and contact of the published dataset.

    Attributes:
        config: Name of the datasets configuration, such as ``ver-1``.
        pretty_name: Title on the card.
        license: Licence of the metadata (the linked images keep their own), by the Hub's name of
            it. ``unknown`` stands for one that is not chosen yet: a release is refused.
        tags: Keywords by which the Hub finds the dataset; ``laion-eo`` is always one more.
        contact: Where to ask for the removal of an entry: an e-mail address or a URL.
    """

    config: str = Field(default="ver-0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    pretty_name: str = Field(default="LAION-EO", min_length=1)
    license: str = Field(default="cc-by-4.0", min_length=1)
    tags: tuple[Annotated[str, Field(pattern=r"^[\w:.-]{1,100}$")], ...] = ()
    contact: str = ""

    @property
    def purpose(self) -> str:
        """What the images are for, as far as the run file says so itself; else ``""``."""
        said = [
            getattr(self, key) for key in ("pretty_name", "config") if key in self.model_fields_set
        ]
        return f"collects image-text pairs: {said[0]}" if said else ""


class EmbeddingsOptions(Model):
    """How the images' embeddings are kept.

    Attributes:
        dtype: ``float16`` halves what they take on the disk, and those of the pool's own index,
            which has the same dtype, are taken over for the same pictures; similarities differ
            from those of ``float32`` by less than 0.0002. ``float32`` is what the model returned.
    """

    dtype: Literal["float16", "float32"] = "float16"


class EngineOptions(Model):
    """Where the run is executed.

    Attributes:
        use: ``local`` for this machine, or ``ray`` for a Ray cluster, all of whose machines see the
            run directory and the pool under the same paths.
        batch_rows: Rows in a shard of candidates; an interrupted run repeats at most one shard for
            each worker.
        address: Address of the Ray cluster, maybe with ``{env=NAME}`` in it; by default that of
            the environment, or else a cluster is started on this machine.
        workers: Workers of the Ray cluster; by default as many as fit.
        cpus_per_worker: Threads of each worker.
    """

    use: Literal["local", "ray"] = "local"
    batch_rows: int = Field(default=512, ge=1)
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    cpus_per_worker: int = Field(default=1, ge=1)


def _choice(use: str, **options: JSON) -> Choice:
    return Choice.model_validate({"use": use, **options})


class RunConfig(Model):
    """A complete run file. All tables except ``anchors`` and ``retriever`` default to the paper.

    Attributes:
        anchors: Anchor source (section 2.1).
        normalizer: Turns reflectance into pictures like those of the web (section 2.1).
        augmenter: Makes further views of each anchor; the paper has none.
        embedder: The joint image-text model (section 2).
        retriever: Nearest neighbours in the pool (section 2.2).
        downloader: Fetches the images (section 2.2).
        scorers: Columns computed from the images (section 2.3).
        filters: Drop rows, in this order (sections 2.2 to 2.4).
        language_tagger: Languages of the captions (section 2.4).
        publisher: Publishes the dataset.
        dataset: Name, licence and contact of the dataset.
        embeddings: How the images' embeddings are kept.
        engine: Where the run is executed.
        seed: Seed of all random numbers.
    """

    anchors: Choice
    normalizer: Choice = _choice("reflectance-gain")
    augmenter: Choice = _choice("none")
    embedder: Choice = _choice("open-clip")
    retriever: Choice
    downloader: Choice = _choice("http")
    scorers: tuple[Choice, ...] = (_choice("image-similarity"), _choice("text-similarity"))
    filters: tuple[Choice, ...] = (
        _choice("min-size"),
        _choice("similarity-threshold"),
        _choice("duplicates"),
    )
    language_tagger: Choice = _choice("xlm-roberta")
    publisher: Choice = _choice("folder")
    dataset: DatasetOptions = DatasetOptions()
    embeddings: EmbeddingsOptions = EmbeddingsOptions()
    engine: EngineOptions = EngineOptions()
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class RunFile:
    """A run file as written, and where it was read.

    Attributes:
        data: The parsed TOML, overrides applied.
        name: The file's name, for messages.
        base: Folder at which its relative paths start.
    """

    data: dict[str, JSON]
    name: str
    base: Path

    @classmethod
    def load(cls, source: Path | Mapping[str, JSON], overrides: Sequence[str] = ()) -> RunFile:
        """Read a run file, or take its contents as a mapping.

        Args:
            source: A path, or a mapping (relative paths then start at the current folder).
            overrides: ``key=value`` each, as :func:`apply_override` takes them.

        Raises:
            ConfigError: The file is missing or not TOML, an override is malformed, a value is one
                that no option can have, or a password is written out.
        """
        data = _read_toml(source) if isinstance(source, Path) else deepcopy(dict(source))
        for override in overrides:
            _write_out(data, override)
            apply_override(data, override)
        name, base = (source.name, source.parent) if isinstance(source, Path) else ("run", Path())
        _refuse_odd(data, name)
        try:
            refuse_passwords(data)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
        return cls(data, name, base)

    @cached_property
    def config(self) -> RunConfig:
        """The checked structure of the file; options of components are not yet checked.

        Raises:
            ConfigError: An unknown table, a missing one, or a value of the wrong type; or a secret
                where there can be none.
        """
        return validate(RunConfig, _with_address(self.data, self.name), self.name)


def _with_address(data: dict[str, JSON], name: str) -> dict[str, JSON]:
    """Return a run file's data with the one reference outside its components checked.

    The dataset's own options are published, so they cannot be secrets.
    """
    for key, value in _table(data, "dataset").items():
        if has_reference(value):
            raise ConfigError(f"{name}: 'dataset.{key}' is published, so it can be no secret.")
    engine = _table(data, "engine")
    if not has_reference(engine.get("address")):
        return data
    address = as_text(engine["address"])
    try:
        filled(address)
    except ConfigError as error:
        raise ConfigError(f"{name}: 'engine.address': {error}") from None
    return {**data, "engine": {**engine, "address": address}}


def _table(data: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    table = data.get(name)
    return table if isinstance(table, dict) else {}


def _write_out(data: dict[str, JSON], override: str) -> None:
    """Add the default components of a table in which an override changes an option."""
    table, dot, _ = override.partition("=")[0].partition(".")
    table = table.strip()
    field = RunConfig.model_fields.get(table)
    default = field.get_default() if field is not None and dot and table not in data else None
    if isinstance(default, Choice):
        data[table] = default.model_dump()
    elif isinstance(default, tuple):
        data[table] = [choice.model_dump() for choice in default]


def _read_toml(path: Path) -> dict[str, JSON]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such run file.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder, where a run file (TOML) was expected.") from None
    except RecursionError:
        raise ConfigError(f"{path}: not a TOML file for a run: nested too deeply.") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number of too many digits
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None


def _refuse_odd(value: JSON, place: str, depth: int = 0) -> None:
    """Refuse what no option can be: a NUL in a text, an integer past 64 bits, endless nesting.

    Raises:
        ConfigError: The message names the key.
    """
    if depth > DEEPEST:
        raise ConfigError(f"{_shortened(place)}: nested too deeply.")
    if isinstance(value, dict):
        for key, item in value.items():
            inner = f"{place}.{key}" if depth else f"{place}: {key}"
            _refuse_odd(str(key), inner, depth + 1)
            _refuse_odd(item, inner, depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _refuse_odd(item, f"{place}.{number}", depth + 1)
    elif isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
        raise ConfigError(f"{_shortened(place)}: a NUL, or half of a character, in a text.")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"{_shortened(place)}: an integer of more than 64 bits.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def validate(
    model: type[ModelT],
    data: Mapping[str, JSON],
    where: str,
    base: Path | None = None,
    written: Mapping[Place, Written] | None = None,
) -> ModelT:
    """Build a model from data, with all of pydantic's errors in one readable line.

    Args:
        model: The model's class.
        data: Its values.
        where: File and table, for the message.
        base: Folder at which relative paths start; the current one by default.
        written: Where the values hold secrets: no message repeats what is there. Validators find
            the options' names in their context, as ``secret``.

    Raises:
        ConfigError: The data is not valid; one line lists every fault.
    """
    written = written or {}
    context = {"base": base or Path(), "secret": {place[0] for place in written}}
    try:
        return model.model_validate(dict(data), context=context)
    except ValidationError as error:
        listed = error.errors()
        faults = "; ".join(_explain(model, fault, written) for fault in listed[:MOST_FAULTS])
        if len(listed) > MOST_FAULTS:
            faults += f"; and {len(listed) - MOST_FAULTS} others"
        raise ConfigError(f"{where}: {faults}.") from None


def _explain(
    model: type[BaseModel], fault: Mapping[str, Any], written: Mapping[Place, Written]
) -> str:
    location = [str(part) for part in fault["loc"]]
    key = ".".join(location)
    # A fault of the whole table, of one option, or of a part of one.
    secret = [one for place, one in written.items() if not location or location[0] == place[0]]
    if fault["type"] == "extra_forbidden":
        known = sorted(model.model_fields) if len(location) == 1 else []
        listed = f" Known keys: {', '.join(known) or 'none'}" if len(location) == 1 else ""
        return f"unknown key {_shortened(repr(key))}.{did_you_mean(key, known)}{listed}"
    if fault["type"] == "missing":
        return f"{key!r} is missing"
    if fault["type"] == "model_type":
        # Do not echo the value: it may be a secret in plain text instead of {env = "NAME"}.
        reference = fault["ctx"]["class_name"] == Secret.__name__
        return f"{key!r}: a table was expected" + (', {env = "NAME"}' if reference else "")
    if fault["type"] == "tuple_type":
        return f"{key!r}: a list was expected"
    message = redacted(str(fault["msg"]).removeprefix("Value error, ").rstrip("."))
    if any(one.text in message for one in secret):
        message = "what the environment variable holds is not valid"
    quoted = "input" in fault and fault["type"] != UNQUOTED and not secret
    if key and quoted and not isinstance(fault["input"], dict | list):
        return f"{key!r}: {message} (got {_shortened(repr(fault['input']))})"
    return f"{key!r}: {message}" if key else message


def _shortened(text: str) -> str:
    text = redacted(text)
    return text if len(text) <= LONGEST_ECHO else f"{text[:LONGEST_ECHO]}…"
