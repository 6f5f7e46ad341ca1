"""The command ``laion-eo``, also as ``python -m laion_eo``."""

from __future__ import annotations

from laion_eo.stopping import stoppable


def main() -> None:
    """Run the command and exit with its code; it can be stopped from its first import on."""
    stoppable(_command)


def _command() -> None:
    from laion_eo.cli import main as command

    command()


if __name__ == "__main__":
    main()
