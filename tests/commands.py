"""Commands in this process, and plugins that they find as if they were installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import TypeAlias

import pytest

from laion_eo.cli import cli, main

Install: TypeAlias = Callable[[str, str], None]


@contextmanager
def installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install plugins as pip does: the metadata of a package whose entry point is a module."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    commands = set(cli.commands)

    def write(module: str, code: str = "") -> None:
        name = module.rpartition(".")[2]
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[laion_eo]\n{name} = {module}\n")
        if code:
            (site / f"{module}.py").write_text(dedent(code))

    yield write
    for added in set(cli.commands) - commands:
        del cli.commands[added]


def call(*args: object) -> int:
    """Do a command, and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    return int(caught.value.code or 0)
