"""Code in a fresh interpreter, for what happens at import or is said on stderr."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import laion_eo


def source_folders() -> list[str]:
    """Return what a child needs on its path to import this laion_eo: nothing if it is installed.

    Never site-packages: it would come before the standard library, and some packages hide that.
    """
    folder = Path(laion_eo.__file__).parents[1]
    return [] if folder.name == "site-packages" else [str(folder)]


def python(code: str, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Run code in a fresh interpreter, which must end well.

    Args:
        code: The program.
        environment: Variables beside those of this process.
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


def at_a_terminal(
    command: Sequence[str], answers: str, environment: Mapping[str, str]
) -> tuple[str, int]:
    """Run a program at a terminal of its own.

    Args:
        command: The program and its arguments.
        answers: What is typed.
        environment: All its variables.

    Returns:
        What stands on the terminal in the end, and the exit code.
    """
    terminal, side = pty.openpty()
    with subprocess.Popen(
        command, stdin=side, stdout=side, stderr=side, env=environment, close_fds=True
    ) as process:
        os.close(side)
        os.write(terminal, answers.encode())
        seen = b""
        try:
            while piece := os.read(terminal, 4096):
                seen += piece
        except OSError:  # how Linux says that the other side is closed
            pass
        code = process.wait(60)
    os.close(terminal)
    return seen.decode().replace("\r\n", "\n"), code
