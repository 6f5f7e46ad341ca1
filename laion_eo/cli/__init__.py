"""The command ``laion-eo``: one module per subcommand, loaded when it is used."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click

from laion_eo.cli.output.console import Redacting
from laion_eo.errors import LaionEOError
from laion_eo.stopping import MESSAGE, is_stoppable
from laion_eo.version import __version__

BUILTIN_PLUGIN = "laion_eo.builtin"
# Each is a module of this package (with _ for -) that has a click command called `command`. The
# summaries are here so that `laion-eo --help` needs to import none of the modules.
COMMANDS = {
    "demo": "Run a complete extraction on example pictures: no network, no account.",
    "init": "Write a run file for a domain of your own, from examples of it.",
    "run": "Run or resume the extraction that a run file describes.",
    "plan": "Show what a run would do: stages, rows, bytes, time.",
    "index": "Embed images into a pool that runs can search.",
    "verify": "Check that a run, a dataset or a pool is what its records say, byte by byte.",
    "explain": "Say, stage by stage, why one image is in or out of a run's dataset.",
    "evaluate": "Say how right and how complete a run's dataset is; plan what to label.",
    "export": "Export a run with its provenance, as an RO-Crate.",
    "release": "Release a run's dataset to the Hugging Face Hub.",
    "pull": "Fetch a release, so that load_dataset finds it by its bare name.",
    "check-links": "Check which of a dataset's links are still alive.",
    "plugins": "List the components that run files can use.",
    "new-plugin": "Create an installable plugin package to start from.",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used, those of plugins last."""
        self._add_plugins(ctx)
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name in COMMANDS:
            module = import_module(f"laion_eo.cli.{cmd_name.replace('-', '_')}")
            command: click.Command = module.command
            return command
        self._add_plugins(ctx)
        return super().get_command(ctx, cmd_name)

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **more: Any
    ) -> click.Context:
        """Read the command line, which may import plugins; Ctrl-C ends it as in :meth:`invoke`."""
        with _stopped():
            return super().make_context(info_name, args, *rest, **more)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Ctrl-C prints how to resume and exits as a shell expects."""
        with _stopped():
            return super().invoke(ctx)

    def _add_plugins(self, ctx: click.Context) -> None:
        """Let plugins add their commands, at most once for each call of ``laion-eo``."""
        if ctx.meta.setdefault(f"{__name__}.plugins", self) is not self:
            return
        ctx.meta[f"{__name__}.plugins"] = "added"
        # The built-in plugin adds none, so without others nothing is loaded.
        if any(point.value != BUILTIN_PLUGIN for point in entry_points(group="laion_eo")):
            from laion_eo.registry import Registry

            for broken in Registry.load().add_commands(self):
                click.echo(f"laion-eo: {broken}", err=True)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        self._add_plugins(ctx)
        rows = list(COMMANDS.items())
        for name in super().list_commands(ctx):
            command = super().get_command(ctx, name)
            rows.append((name, command.get_short_help_str() if command else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@contextmanager
def _stopped() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if not is_stoppable():
            click.echo(MESSAGE, err=True)
        raise click.exceptions.Exit(130) from None


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `laion-eo demo`. Exit codes: 0 done, 1 the run failed, 2 the command, the "
    "run file or the data it names is wrong, 130 and 143 stopped by Ctrl-C and by SIGTERM.",
)
@click.version_option(__version__, prog_name="laion-eo")
def cli() -> None:
    """Find one domain's images among billions.

    Give laion-eo a few hundred images of a domain (the anchors) and a pool of image-text pairs; it
    finds the pool's images of that domain, checks them, and writes them as a dataset.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code.

    Nothing that it or a library prints shows a secret of the run file.
    """
    with redirect_stdout(Redacting(sys.stdout)), redirect_stderr(Redacting(sys.stderr)):
        try:
            cli.main(
                args=None if args is None else list(args),
                prog_name="laion-eo",
                standalone_mode=True,
            )
        except LaionEOError as error:
            click.echo(f"laion-eo: {error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            click.echo(f"laion-eo: {error}", err=True)
            sys.exit(1)
        except Exception:  # noqa: BLE001 - the end of the process: here nothing shows a secret
            click.echo(traceback.format_exc(), err=True, nl=False)
            sys.exit(1)
