"""What the tests of commands have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Install, installing


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a plugin by the name of its module, and its code if it has none yet."""
    with installing(tmp_path, monkeypatch) as install:
        yield install
