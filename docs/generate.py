"""Writes the reference pages, pictures, the manifest's schema and examples from the code.

``python docs/generate.py`` writes them.

With ``--check`` it writes nothing and fails where a page is not what the code says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from inspect import cleandoc, getdoc, isfunction, signature
from pathlib import Path

import click
import draw
from example_domains import DOMAINS, example
from kind_pages import (
    every_suite,
    kind_page,
    list_of_fixtures,
    list_of_kinds,
    list_of_strategies,
)

from laion_eo import hookspecs
from laion_eo.cli import COMMANDS, cli
from laion_eo.component import Component, ComponentConfig
from laion_eo.config import Model
from laion_eo.hookspecs import PROJECT
from laion_eo.kinds import KINDS
from laion_eo.pipeline.manifest import Manifest
from laion_eo.registry import BUILTIN, Registry
from laion_eo.schema import PUBLISHED_COLUMNS

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code: edit that, not this. -->\n"


def hooks() -> str:
    """Return the page of the hooks, in the order of ``hookspecs.py``."""
    parts = ["# Hooks", "", getdoc(hookspecs) or ""]
    for name, function in vars(hookspecs).items():
        if name.startswith(f"{PROJECT}_") and isfunction(function):
            arguments = ", ".join(signature(function).parameters)
            parts += ["", f"## `{name}({arguments})`", "", getdoc(function) or ""]
    return "\n".join(parts)


def commands() -> str:
    """Return the page of the commands: what ``--help`` says."""
    parts = ["# Commands", "", "What `--help` says of each command."]
    context = cli.make_context("laion-eo", [], resilient_parsing=True, terminal_width=100)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is None:
            raise LookupError(f"laion_eo.cli has no command {name!r}")
        inner = click.Context(command, parent=context, info_name=name, terminal_width=100)
        parts += ["", f"## `laion-eo {name}`", "", "```text", command.get_help(inner), "```"]
    return "\n".join(parts)


def columns() -> str:
    """Return the page of the published columns."""
    parts = [
        "# Columns of the dataset",
        "",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
    ]
    parts += [f"| `{c.name}` | {c.type} | {c.unit} | {c.meaning} |" for c in PUBLISHED_COLUMNS]
    return "\n".join(parts)


def components() -> str:
    """Return the page of the built-in components and their options."""
    parts = ["# Components", "", "What a run file's `use` can say, with the options of each."]
    registry = Registry.discover()
    for kind in KINDS:
        table = f"[[{kind.table}]]" if kind.many else f"[{kind.table}]"
        parts += ["", f"## {kind.name}: `{table}`", "", getdoc(kind.base) or ""]
        for entry in registry.of_kind(kind):
            if entry.plugin == BUILTIN:
                parts += ["", f"### `{entry.cls.name}`", "", *_describe(entry.cls)]
    return "\n".join(parts)


def plugin_guide() -> str:
    """Return the guide for plugin authors: its text, and the lists that the code has."""
    text = (DOCS / "plugin_guide.md.in").read_text("utf-8")
    lists = {
        "kinds": list_of_kinds(),
        "fixtures": list_of_fixtures(),
        "strategies": list_of_strategies(),
        "every_suite": every_suite(),
    }
    for name, content in lists.items():
        text = text.replace(f"{{{{ {name} }}}}", content)
    return text


def manifest_schema() -> str:
    """Return the JSON Schema of a run's ``manifest.json``."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Written by docs/generate.py from laion_eo/pipeline/manifest.py.",
    }
    schema = head | Manifest.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=1, ensure_ascii=False)


def _describe(cls: type[Component]) -> list[str]:
    lines = [getdoc(cls) or "", "", "| option | default |", "|---|---|"]
    fields = cls.Config.model_fields
    for key, field in fields.items():
        if field.is_required():
            default = "required"
        else:
            default = f"`{field.get_default(call_default_factory=True)!r}`"
        lines.append(f"| `{key}` | {default} |")
    return [*lines, "", "```text", _options(cls.Config), "```"] if fields else lines[:1]


def _options(config: type[ComponentConfig]) -> str:
    """Return what is said of a component's options, inherited ones too."""
    bases = [base for base in config.__mro__ if issubclass(base, Model)]
    own = [base for base in bases if base not in (Model, ComponentConfig)]
    said = [base for base in own if base is config or vars(base).get("__annotations__")]
    return "\n\n".join(cleandoc(base.__doc__ or "") for base in said)


PAGES: dict[str, Callable[[], str]] = {
    "hooks.md": hooks,
    "commands.md": commands,
    "columns.md": columns,
    "components.md": components,
    "plugins/README.md": plugin_guide,
    **{f"plugins/{kind.name}.md": partial(kind_page, kind) for kind in KINDS},
    "images/data.svg": draw.data,
    "images/layers.svg": draw.layers,
    "manifest.schema.json": manifest_schema,
    **{f"../examples/{name}.toml": partial(example, name) for name in DOMAINS},
}


def written(name: str) -> str:
    """Return a page as its file holds it."""
    note = f"{NOTE}\n" if name.endswith(".md") else ""
    return f"{note}{PAGES[name]().rstrip()}\n"


def main() -> int:
    """Write or check every page; return the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in PAGES:
        text = written(name)
        path = DOCS / name
        if check and (not path.is_file() or path.read_text("utf-8") != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    if stale:
        print(f"not what the code says: {', '.join(stale)}; run python docs/generate.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
