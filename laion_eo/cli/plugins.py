"""``laion-eo plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from laion_eo.registry import Registry


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the components that run files can use, or the options of the one called NAME."""
    from laion_eo.cli.output.console import output_console
    from laion_eo.registry import Registry

    registry = Registry.discover()
    if name:
        _print_options(registry, output_console(), name)
    else:
        _print_components(registry, output_console())
    for broken in registry.broken:
        click.echo(f"laion-eo: not loaded: {broken}", err=True)


def _print_components(registry: Registry, console: Console) -> None:
    from rich.table import Table

    from laion_eo.kinds import KINDS

    table = Table("run file", "use", "what it is", "from")
    for kind in KINDS:
        heading = f"[[{kind.table}]]" if kind.many else f"[{kind.table}]"
        for place, entry in enumerate(registry.of_kind(kind)):
            first = heading if place == 0 else ""
            table.add_row(first, entry.cls.name, entry.cls.summary, entry.distribution)
    console.print(table)


def _print_options(registry: Registry, console: Console, name: str) -> None:
    import inspect

    from laion_eo.errors import PluginError, did_you_mean

    found = [entry for entry in registry.entries if entry.cls.name == name]
    if not found:
        names = sorted({entry.cls.name for entry in registry.entries})
        raise PluginError(f"no component named {name!r}.{did_you_mean(name, names)}")
    for entry in found:
        console.print(f"{entry.kind.name} {name}: {entry.cls.summary}")
        console.print(f"from {entry.distribution}\n")
        console.print(inspect.getdoc(entry.cls.Config) or "")
        for key, field in entry.cls.Config.model_fields.items():
            default = (
                "required"
                if field.is_required()
                else repr(field.get_default(call_default_factory=True))
            )
            console.print(f"  {key} = {default}")
        console.print()
