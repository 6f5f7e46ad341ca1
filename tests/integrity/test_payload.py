from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.errors import DataError
from laion_eo.integrity.payload import private_patterns, refuse_private
from laion_eo.pipeline import RunResult
from laion_eo.pipeline.manifest import Manifest


@pytest.fixture
def manifest(finished_run: RunResult) -> Manifest:
    """Of a run whose file says more than it should."""
    said = {
        "anchors": {"root": "/data/anchors/"},
        "retriever": {"pool": "C:\\data\\pool", "url": "https://me:pass-word@knn.example.org/x"},
        "publisher": {"token": "planted-token", "path": "~/out"},
        "downloader": {"proxy": {"env": "PLANTED"}},
    }
    return Manifest.load(finished_run.folder).model_copy(update={"run": said})


PRIVATE = [
    "see /data/anchors",
    'in "/data/anchors/200.png"',
    "C:\\data\\pool\\x.npy",
    "~/out/x",
    "as planted-token says",
    "?key=planted-token&x",
    "https://me:pass-word@other.example.org/",
    "from the environment: planted-proxy",
]
PUBLIC = [
    "https://example.org/data/anchors/1.jpg",
    "https://example.org/~/out",
    "/data/anchorsX",
    "/other/data/anchors",
    "https://knn.example.org/x",
    "…/anchors",
]


@pytest.mark.parametrize("kind", [".json", ".toml", ".md", ".parquet"])
@pytest.mark.parametrize("text", [*PRIVATE, *PUBLIC])
def test_what_is_private(
    text: str, kind: str, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", "planted-proxy")
    patterns = private_patterns(tmp_path / "run", manifest)
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / f"it{kind}"
    if kind == ".parquet":
        pq.write_table(pa.table({"n": [1, 2], "caption": [None, text]}), path)
    else:
        written = text if kind == ".md" else text.replace("\\", "\\\\")
        path.write_text(f"first line\n{written}\n", "utf-8")
    if text in PUBLIC:
        refuse_private(folder, patterns)
    else:
        with pytest.raises(DataError, match=rf"^it{re.escape(kind)}: .*not exported\.$"):
            refuse_private(folder, patterns)
