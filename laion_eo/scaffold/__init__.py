"""Makes a plugin package to start from: ``laion-eo new-plugin``."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path

import jinja2

from laion_eo.errors import ConfigError, did_you_mean
from laion_eo.hookspecs import PROJECT
from laion_eo.kinds import KINDS, Kind
from laion_eo.version import __version__

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
COMMON = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "tox.ini": "tox.ini",
    "conftest.py": "tests/conftest.py",
    "plugin.py": "{package}/__init__.py",
}
"""The templates that every kind shares, and where each goes."""


def new_plugin(name: str, kind: str, folder: Path = Path()) -> Path:
    """Write an installable package with one component, its entry point, tests, README and tox.ini.

    As it is written it passes the conformance suite of its kind.

    Args:
        name: kebab-case: the distribution's name, the component's, and the folder's.
        kind: ``anchor-source``, ``normalizer``, ...: a name of :data:`laion_eo.kinds.KINDS`.
        folder: Where the package's folder is made.

    Returns:
        The package's folder.

    Raises:
        ConfigError: No such kind, a name that cannot be one, or the folder is there already.
    """
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(package):
        raise ConfigError(f"{name!r} is no name for a plugin: write lower-case words-with-dashes.")
    if package in sys.stdlib_module_names or package == PROJECT:
        raise ConfigError(f"{name!r}: a module of that name is there already; choose another.")
    chosen = _kind(kind)
    target = folder / name
    if target.exists():
        raise ConfigError(f"{target}: is there already; choose another name or folder.")
    for path, text in render(name, chosen).items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text, "utf-8")
    return target


def render(name: str, kind: Kind) -> dict[str, str]:
    """Return the files of a new package: relative paths and texts."""
    package = name.replace("-", "_")
    module = kind.name.replace("-", "_")
    values = {
        "name": name,
        "package": package,
        "module": module,
        "class_name": "".join(word.capitalize() for word in name.split("-")),
        "suite": f"{kind.base.__name__}Tests",
        "kind": kind,
        "table": f"[[{kind.table}]]" if kind.many else f"[{kind.table}]",
        "version": __version__,
    }
    paths = {f"common/{source}": target.format(**values) for source, target in COMMON.items()}
    paths[f"kinds/{module}.py"] = f"{package}/{module}.py"
    paths[f"kinds/test_{module}.py"] = f"tests/test_{module}.py"
    return {target: _render(source, values) for source, target in paths.items()}


def _render(source: str, values: dict[str, object]) -> str:
    template = files("laion_eo.scaffold").joinpath(f"templates/{source}.j2").read_text("utf-8")
    environment = jinja2.Environment(  # noqa: S701 - Python and TOML, not HTML
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(template).render(values)


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = [kind.name for kind in KINDS]
    raise ConfigError(
        f"no kind of component is called {name!r}.{did_you_mean(name, names)} "
        f"Kinds: {', '.join(names)}."
    )
