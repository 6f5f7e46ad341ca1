"""Changes of single values of a run file, as ``--set`` takes them."""

from __future__ import annotations

import tomllib

from laion_eo.errors import ConfigError
from laion_eo.redaction import HIDDEN, names_secret
from laion_eo.types import JSON


def parse_value(text: str) -> JSON:
    """Parse a value as TOML; text that is not TOML is a string.

    Examples:
        >>> parse_value("1.5"), parse_value("[1, 2]"), parse_value("tiny")
        (1.5, [1, 2], 'tiny')
    """
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # also a number of too many digits, or too deep a list
        return text
    return table["value"] if len(table) == 1 else text  # a second line would be a second key


def apply_override(data: dict[str, JSON], override: str) -> None:
    """Set one ``a.b=c`` in a run file's data.

    Args:
        data: The parsed TOML; changed in place.
        override: ``retriever.k=100``, ``filters.similarity-threshold.sigma=2`` (a list's entry by
            its ``use``, or by its index). The value is TOML; text that is not TOML is a string.

    Raises:
        ConfigError: There is no ``=``; the path goes through a value that is not a table; or there
            are bytes that are not UTF-8 (a shell passes those as lone surrogates).
    """
    dotted, equals, text = override.partition("=")
    # Of passwords in URLs, the message takes care itself.
    secret = equals and names_secret(dotted.rpartition(".")[2].strip())
    shown = repr(f"{dotted}={HIDDEN}" if secret else override)
    if any("\ud800" <= character <= "\udfff" for character in override):
        raise ConfigError(f"--set {shown}: not UTF-8 text.")
    keys = [key.strip() for key in dotted.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {shown}: write key=value, such as retriever.k=100.")
    node: JSON = data
    for key in keys[:-1]:
        node = _enter(node, key, shown)
    if isinstance(node, dict):
        node[keys[-1]] = parse_value(text)
    elif isinstance(node, list) and (index := _index(node, keys[-1])) is not None:
        node[index] = parse_value(text)
    else:
        raise ConfigError(f"--set {shown}: {'.'.join(keys[:-1])!r} is not a table.")


def _enter(node: JSON, key: str, shown: str) -> JSON:
    if isinstance(node, dict):
        return node.setdefault(key, {})
    if isinstance(node, list):
        if (index := _index(node, key)) is not None:
            return node[index]
        named = [entry for entry in node if isinstance(entry, dict) and entry.get("use") == key]
        if len(named) == 1:
            return named[0]
        uses = [entry.get("use") for entry in node if isinstance(entry, dict)]
        raise ConfigError(f"--set {shown}: no single entry {key!r} in the list {uses}.")
    raise ConfigError(f"--set {shown}: {key!r} is inside a value, not a table.")


def _index(entries: list[JSON], key: str) -> int | None:
    return next((index for index in range(len(entries)) if str(index) == key), None)
