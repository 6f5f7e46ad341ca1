"""Fixtures: CloudSEN12 in each layout, and what opens and reads it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.cloudsen12 import write_geotiffs, write_memmaps, write_plus

from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.types import Anchor, SkippedAnchor


@pytest.fixture
def source() -> Callable[..., CloudSEN12]:
    """Builds the source as a run does: ``source(root, **options)``."""

    def build(root: Path, **options: Any) -> CloudSEN12:
        config = validate(CloudSEN12.Config, {"root": str(root), **options}, "run.toml: [anchors]")
        return CloudSEN12(config, Context())

    return build


@pytest.fixture
def read() -> Callable[[CloudSEN12], list[Anchor]]:
    """Reads all anchors of a source, none of which may be skipped."""

    def read_all(found: CloudSEN12) -> list[Anchor]:
        samples = list(found.anchors())
        assert found.count() == len(samples)
        assert [sample.reason for sample in samples if isinstance(sample, SkippedAnchor)] == []
        return [sample for sample in samples if isinstance(sample, Anchor)]

    return read_all


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each layout in a folder of its own; leave them as they are."""
    root = tmp_path_factory.mktemp("cloudsen12")
    write_geotiffs(root / "tree" / "cloudSEN12")
    high = [("high", "cloudy", "0"), ("high", "cloud-free", "0")]
    scribble = [("scribble", "cloud-free", "0"), ("scribble", "mid-cloudy", "0")]
    write_memmaps(root / "memmaps" / "CloudSEN12-high" / "train", high, 0)
    write_memmaps(root / "memmaps" / "CloudSEN12-scribble" / "train", scribble, 2, padded=True)
    write_plus(root / "plus", root / "scratch")
    return root


@pytest.fixture
def tree(layouts: Path, tmp_path: Path) -> Path:
    """v1, to be changed."""
    return Path(shutil.copytree(layouts / "tree", tmp_path / "tree")) / "cloudSEN12"


@pytest.fixture
def memmaps(layouts: Path, tmp_path: Path) -> Path:
    """v1.1, to be changed: the repositories of high and scribble side by side."""
    return Path(shutil.copytree(layouts / "memmaps", tmp_path / "memmaps"))


@pytest.fixture
def plus(layouts: Path, tmp_path: Path) -> Path:
    """CloudSEN12+, to be changed."""
    return Path(shutil.copytree(layouts / "plus", tmp_path / "plus"))
