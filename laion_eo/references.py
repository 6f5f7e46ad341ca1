"""References to secrets in a run file: ``{env = "NAME"}`` in place of a text, or in a part of one.

An option whose value is a text may be the table ``{env = "NAME"}``, and any text may have
references in it: ``url = "https://me:{env=KNN_PASSWORD}@knn.example"``. The environment variable is
read when the component is built. Whatever is written out of its options shows the reference again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin
from urllib.parse import quote

from pydantic import AnyUrl, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from laion_eo.errors import ConfigError
from laion_eo.redaction import names_secret, redacted_json, remember, remember_url
from laion_eo.types import JSON

Place: TypeAlias = tuple[str | int, ...]
"""Where a value is: the keys and indices that lead to it."""

_REFERENCE = re.compile(r"""\{\s*env\s*=\s*(["']?)([A-Za-z_][A-Za-z0-9_]*)\1\s*\}""")
_MARK = re.compile(r"\{\s*env\s*=")
_URL = re.compile(r"(?:[a-z0-9]+::)*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOGIN = re.compile(r"(?:^|::)([a-z][a-z0-9+.-]*)://([^/?#\s]*)@", re.IGNORECASE)
_QUERY = re.compile(r"[?&]([^=&#\s]+)=([^&#\s]+)")
_FILLED = "\0"


@dataclass(frozen=True)
class Written:
    """One text of the options that has a reference in it.

    Attributes:
        text: With the secrets: what the option is.
        form: As it was written: what is shown and kept.
        pieces: Each value that is in the text, and its reference.
    """

    text: str = field(repr=False)
    form: JSON
    pieces: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def reveal(name: str) -> str:
    """Return the value of an environment variable, which is a secret from then on.

    Raises:
        ConfigError: It is not set, empty, or no text.
    """
    value = os.environ.get(name, "")
    if not value.strip():
        raise ConfigError(f"the environment variable {name} is not set, or empty; it is needed.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"the environment variable {name} holds bytes that are no UTF-8 text.")
    remember(value)
    return value


def filled(text: str) -> str:
    """Return a text with the values of the variables that it refers to.

    Inside a URL they are percent-encoded, so that a ``/`` or an ``@`` of a password ends nothing.

    Raises:
        ConfigError: A variable is not set, or a reference is malformed.
    """
    return _filled(text, text).text


def _filled(text: str, form: JSON) -> Written:
    if len(_REFERENCE.findall(text)) != len(_MARK.findall(text)):
        raise ConfigError("a reference to an environment variable is written {env=NAME}.")
    made, end, pieces = "", 0, list[tuple[str, str]]()
    for found in _REFERENCE.finditer(text):
        made += text[end : found.start()]
        value = reveal(found[2])
        value = quote(value, safe="") if _URL.match(made) else value
        made += value
        pieces.append((value, f"{{env={found[2]}}}"))
        end = found.end()
    made += text[end:]
    remember_url(made)  # its password may have come together from several of them
    return Written(made, form, tuple(pieces))


def has_reference(value: JSON) -> bool:
    """Tell whether there is a reference, or what looks like one, anywhere in a value."""
    texts = [text for _, text in _texts(value, "")]
    return is_reference(value) or any(map(_MARK.search, texts))


def is_reference(value: JSON) -> bool:
    """Tell whether a value is the table ``{env = "NAME"}``."""
    return isinstance(value, dict) and value.keys() == {"env"} and isinstance(value["env"], str)


def as_text(value: JSON) -> JSON:
    """Return a reference as the text ``{env=NAME}``; other values as they are."""
    return f"{{env={value['env']}}}" if is_reference(value) else value


def resolve(
    model: type[BaseModel], data: Mapping[str, JSON]
) -> tuple[dict[str, JSON], dict[Place, Written]]:
    """Return the options with the values of the variables, and how these were written.

    Only where the model wants a text: a number or a choice is no secret, and an option that is a
    table itself stays one.

    Args:
        model: The options' model.
        data: As written.

    Raises:
        ConfigError: A variable is not set, empty, or a reference is malformed; the message begins
            with the option.
    """
    found: dict[Place, Written] = {}
    made = _of_table(dict(data), [model], (), found)
    return made, found


def _of_table(
    table: dict[str, JSON], kinds: list[Any], place: Place, found: dict[Place, Written]
) -> dict[str, JSON]:
    return {
        key: _of_value(value, _below(kinds, key), (*place, key), found)
        for key, value in table.items()
    }


def _of_value(value: JSON, kinds: list[Any], place: Place, found: dict[Place, Written]) -> JSON:
    """Return a value with its references filled in, and note each of them."""
    text = as_text(value) if _want_text(kinds) and not _want_table(kinds) else value
    if isinstance(text, str):
        if not (_MARK.search(text) and _want_text(kinds)):
            return value
        try:
            found[place] = _filled(text, value)
        except ConfigError as error:
            raise ConfigError(f"{'.'.join(map(str, place))!r}: {error}") from None
        return found[place].text
    if isinstance(value, dict):
        return _of_table(value, kinds, place, found)
    if not isinstance(value, list | tuple):
        return value
    inner: dict[Place, Written] = {}
    items = [_of_value(x, _below(kinds, i), (*place, i), inner) for i, x in enumerate(value)]
    if inner and any((get_origin(kind) or kind) in (set, frozenset) for kind in kinds):
        inner = {place: Written("", value)}  # a set has no places
    found |= inner
    return items


def _alternatives(annotation: Any) -> list[Any]:
    """Return the types that an annotation allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for member in get_args(annotation) for kind in _alternatives(member)]
    if isinstance(annotation, TypeVar) or hasattr(annotation, "__value__"):
        return [Any]  # a named alias, such as pydantic's JsonValue, may contain itself
    return [annotation]


def _below(kinds: list[Any], key: str | int) -> list[Any]:
    """Return the types that are allowed at one key or index of a value."""
    found: list[Any] = []
    for kind in kinds:
        origin, arguments = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and origin is None and issubclass(kind, BaseModel):
            # What is not declared stays: of a Choice, say, whose component reads it itself.
            option = _option(kind, str(key))
            found += [] if option is None else _alternatives(option.annotation)
        elif origin is tuple and arguments[-1:] != (Ellipsis,) and isinstance(key, int):
            found += _alternatives(arguments[key]) if key < len(arguments) else []
        elif arguments and origin is not None:
            found += _alternatives(arguments[0] if isinstance(key, int) else arguments[-1])
        elif kind in (Any, object, dict, list, tuple, set, frozenset):
            found.append(Any)
    return found


def _option(model: type[BaseModel], key: str) -> FieldInfo | None:
    for name, option in model.model_fields.items():
        if key in (name, option.alias, option.validation_alias):
            return option
    return None


def _want_text(kinds: list[Any]) -> bool:
    texts = (str, PurePath, SecretStr, AnyUrl)
    return any(
        kind in (Any, object)
        or (isinstance(kind, type) and issubclass(kind, texts) and not issubclass(kind, Enum))
        for kind in kinds
    )


def _want_table(kinds: list[Any]) -> bool:
    return any(
        isinstance(kind := get_origin(member) or member, type)
        and (issubclass(kind, Mapping | BaseModel) or hasattr(kind, "__dataclass_fields__"))
        for member in kinds
    )


def as_written(
    dumped: dict[str, JSON], written: Mapping[Place, Written], names: Mapping[str, str]
) -> dict[str, JSON]:
    """Return what a model dumps with each reference in place of what it stands for.

    Args:
        dumped: The model's options, all or some of them.
        written: The references by their places.
        names: What an option may be called beside its name, by name.
    """
    found: dict[Place, Written] = {}
    for place, one in written.items():
        for name, other in names.items():
            if place[0] in (name, other):
                found |= {(name, *place[1:]): one, (other, *place[1:]): one}
        found[place] = one
    here = {place: one for place, one in found.items() if place[0] in dumped}
    made: dict[str, JSON] = _rewritten(dumped, here)
    return made


def _rewritten(value: JSON, written: Mapping[Place, Written]) -> JSON:
    if () in written:
        return _form(value, written[()])
    below: dict[str | int, dict[Place, Written]] = {}
    for place, one in written.items():
        below.setdefault(place[0], {})[place[1:]] = one
    if isinstance(value, dict) and below.keys() <= value.keys():
        return {k: _rewritten(v, below[k]) if k in below else v for k, v in value.items()}
    if isinstance(value, list | tuple) and below.keys() <= set(range(len(value))):
        return [_rewritten(v, below[i]) if i in below else v for i, v in enumerate(value)]
    return redacted_json(value)  # not of the shape that was written


def _form(value: JSON, one: Written) -> JSON:
    """Return how a value was written; what its model made of it, a path say, stays around it."""
    text = os.fspath(value) if isinstance(value, PurePath) else value
    if not isinstance(text, str) or text == one.text or not one.text:
        return one.form
    if one.text in text:
        return text.replace(one.text, str(as_text(one.form)))
    if all(value in text for value, _ in one.pieces):
        values = dict(one.pieces)
        longest = sorted(values, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest)), lambda found: values[found[0]], text)
    return one.form


def refuse_passwords(value: JSON, place: str = "") -> None:
    """Refuse a password in a URL, and a secret parameter of one, that are written out.

    Args:
        value: Of a run file: a text, or whatever holds texts.
        place: The keys that lead to it, for the message, which does not repeat the value.

    Raises:
        ConfigError: There is one.
    """
    for where, text in _texts(value, place):
        plain = _REFERENCE.sub(_FILLED, text)
        if not _URL.match(plain):
            continue
        for scheme, login in _LOGIN.findall(plain):
            name, _, password = login.partition(":")
            alone = name if scheme.lower() in ("http", "https") and not password else ""
            if (password or alone).strip(_FILLED):
                raise ConfigError(
                    f"{where!r}: a password is not written here, as it would stand in the run "
                    'directory: "https://name:{env=NAME}@host" takes it from an environment '
                    "variable."
                )
        for name, secret in _QUERY.findall(plain):
            if names_secret(name) and secret.strip(_FILLED):
                raise ConfigError(
                    f"{where!r}: the value of {name!r} is not written here, as it would stand in "
                    f'the run directory: "…{name}={{env=NAME}}" takes it from an environment '
                    "variable."
                )


def _texts(value: JSON, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{place}.{index}" if place else str(index))
