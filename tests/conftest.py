"""Fixtures: those of the kit, and the real data beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["laion_eo.testing.fixtures"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(
            "no ../shared here: this test measures real data that the project does not ship"
        )
    return SHARED
