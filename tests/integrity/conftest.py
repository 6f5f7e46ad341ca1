"""A small finished run, made once, and copies of it to be altered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON

Rerun: TypeAlias = Callable[[Path], None]


@pytest.fixture
def rerun(tiny_data: dict[str, JSON]) -> Rerun:
    """Runs the same run again in a folder."""

    def again(folder: Path) -> None:
        run(tiny_data, folder, registry=Registry.discover([colours]))

    return again


@pytest.fixture
def rerun_as(tiny_data: dict[str, JSON]) -> Callable[[Path, str], None]:
    """Runs the same run again in a folder, as another configuration."""

    def again(folder: Path, config: str) -> None:
        run(tiny_data, folder, [f"dataset.config={config}"], Registry.discover([colours]))

    return again
