"""What is heavy is loaded only by what uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "faiss", "ray", "rasterio", "datasets", "open_clip", "pyarrow")


@pytest.mark.parametrize(
    "code",
    [
        "import laion_eo",
        "import sys; sys.argv = ['laion-eo', '--help']\n"
        "from laion_eo.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass",
    ],
    ids=["import", "help"],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    listed = f"{code}\nimport sys; print('LOADED', *[m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1].split() == ["LOADED"]


def test_the_registry_loads_no_model_library() -> None:
    code = (
        "import sys; from laion_eo.registry import Registry; Registry.discover();"
        "models = ('torch', 'transformers', 'faiss', 'ray');"
        "print('LOADED', *[m for m in models if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["LOADED"]
