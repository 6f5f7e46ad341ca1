"""The published repository on a loopback Hub, and a copy of what a checkout has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from fakes.hub import loopback_hub
from fakes.hub_state import LoopbackHub
from made import made_rows
from places import ROOT


@pytest.fixture(scope="session")
def published() -> pa.Table:
    """Rows of a made ver-0, as many as the published one has."""
    return made_rows(24_933).combine_chunks()


@pytest.fixture
def published_hub(published: pa.Table) -> Iterator[LoopbackHub]:
    """The Hub, with the published repository on it; its main was changed after the publication."""
    from laion_eo.dataset.builder import PUBLISHED_COMMIT, PUBLISHED_REPO

    with loopback_hub() as server:
        content = published.to_pandas().to_csv(index=False).encode()
        files = {"ver-0/x.csv": content, "ver-1/metadata_public.csv": content}
        server.put(PUBLISHED_REPO, files, commit=PUBLISHED_COMMIT)
        server.put(PUBLISHED_REPO, {"ver-0/x.csv": b"changed"})
        yield server
    assert server.complaints == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a fresh checkout has."""
    folder = tmp_path / "checkout"
    pulled = shutil.ignore_patterns(".huggingface.yaml", "ver-*", "__pycache__")
    for name in ("laion_eo", "hf_dataset"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=pulled)
    return folder
