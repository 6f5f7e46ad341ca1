"""Changes of single values of a run file, as ``--set`` takes them."""

from __future__ import annotations

import tomllib

from laion_eo.errors import ConfigError
from laion_eo.types import JSON


def parse_value(text: str) -> JSON:
    """Parse a value as TOML; text that is not TOML is a string.

    Examples:
        >>> parse_value("1.5"), parse_value("[1, 2]"), parse_value("tiny")
        (1.5, [1, 2], 'tiny')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def apply_override(data: dict[str, JSON], override: str) -> None:
    """Set one ``a.b=c`` in a run file's data.

    Args:
        data: The parsed TOML; changed in place.
        override: ``retriever.k=100``, ``filters.similarity-threshold.sigma=2`` (a list's entry by
            its ``use``, or by its index). The value is TOML; text that is not TOML is a string.

    Raises:
        ConfigError: There is no ``=``, or the path goes through a value that is not a table.
    """
    dotted, equals, text = override.partition("=")
    keys = [key.strip() for key in dotted.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {override!r}: write key=value, such as retriever.k=100.")
    node: JSON = data
    for key in keys[:-1]:
        node = _enter(node, key, override)
    if isinstance(node, dict):
        node[keys[-1]] = parse_value(text)
    elif isinstance(node, list) and keys[-1].isdigit() and int(keys[-1]) < len(node):
        node[int(keys[-1])] = parse_value(text)
    else:
        raise ConfigError(f"--set {override!r}: {'.'.join(keys[:-1])} is not a table.")


def _enter(node: JSON, key: str, override: str) -> JSON:
    if isinstance(node, dict):
        return node.setdefault(key, {})
    if isinstance(node, list):
        if key.isdigit() and int(key) < len(node):
            return node[int(key)]
        named = [entry for entry in node if isinstance(entry, dict) and entry.get("use") == key]
        if len(named) == 1:
            return named[0]
        uses = [entry.get("use") for entry in node if isinstance(entry, dict)]
        raise ConfigError(f"--set {override!r}: no single entry {key!r} in the list {uses}.")
    raise ConfigError(f"--set {override!r}: {key!r} is inside a value, not a table.")
