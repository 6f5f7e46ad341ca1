"""Separate environments for peers that cannot be installed together with laion-eo."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "runs" / "benchmarks"
"""The folder in which benchmarks keep what takes long to make: environments, pictures."""


def peer_python(name: str, *requirements: str) -> Path:
    """Make an environment below :data:`WORK`, once, and return its Python.

    Args:
        name: Of its folder.
        requirements: What pip installs, under the constraints of this checkout.
    """
    python = WORK / name / "bin" / "python"
    done = WORK / name / "installed"
    if not done.exists():
        print(f"installing {', '.join(requirements)} into {python.parents[1]}", flush=True)
        venv.create(WORK / name, with_pip=True, clear=True)
        constraints = ["-c", str(ROOT / "constraints.txt")]
        command = [str(python), "-m", "pip", "install", "-q", *constraints, *requirements]
        subprocess.run(command, check=True)
        done.touch()
    return python
