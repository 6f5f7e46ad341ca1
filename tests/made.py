"""Made rows, and what the clients of the loopback Hub need to know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from fakes.hub_state import LoopbackHub

from laion_eo.file_record import FileRecord
from laion_eo.pipeline import RunResult
from laion_eo.pipeline.manifest import Manifest
from laion_eo.schema import PUBLISHED

MakeRun: TypeAlias = Callable[..., Path]


def made_rows(rows: int, seed: int = 0) -> pa.Table:
    """Rows of the published columns, with the captions that the web has."""
    rng = np.random.default_rng(seed)
    odd = ["北京", "Москва", "🛰", "köy", '"quoted"', "'", "a, b", "two\nlines", "crlf\r\nend"]
    words = np.array(["satellite", "image of", "NA", "null", "nan", "None", "", "\\", "<b>", *odd])
    ends = rng.integers(0, 7, rows).cumsum()
    drawn = rng.choice(words, int(ends[-1]) if rows else 0).tolist()
    captions = [" ".join(drawn[start:end]).strip() for start, end in pairwise([0, *ends.tolist()])]
    untagged = rng.random(rows) < 0.1
    languages = rng.choice(["en", "fr", "zh"], rows)
    return pa.table(
        {
            "source": rng.integers(0, 3456, rows),
            "url": [f"https://example.org/{n}.jpg?x=1,{n % 7}" for n in range(rows)],
            "filename": [f"{n:064x}.jpg" for n in range(rows)],
            "id": rng.integers(0, 5_850_000_000, rows),
            "fast_similarity": rng.random(rows),
            "caption": [caption or None for caption in captions],
            "image_similarity": rng.random(rows),
            "text_similarity": rng.random(rows),
            "height": rng.integers(256, 4000, rows).astype(np.int32),
            "width": rng.integers(256, 4000, rows).astype(np.int32),
            "lang": pa.array(languages, pa.string(), mask=untagged),
            "lang_score": pa.array(rng.random(rows), mask=untagged),
        },
        schema=PUBLISHED,
    )


def with_urls(rows: pa.Table, urls: Mapping[int, str | None]) -> pa.Table:
    """Return the rows with other URLs, by the number of the row."""
    column = rows["url"].to_pylist()
    for row, url in urls.items():
        column[row] = url
    place = rows.column_names.index("url")
    return rows.set_column(place, PUBLISHED.field("url"), pa.array(column, pa.string()))


def write_manifest(
    folder: Path, made_by: RunResult, config: str, files: Sequence[FileRecord]
) -> None:
    """Write the manifest of a run that made these files of its dataset."""
    manifest = Manifest.load(made_by.folder)
    named = tuple(file.model_copy(update={"path": f"dataset/{file.path}"}) for file in files)
    step = manifest.stages["dataset"].model_copy(update={"files": named})
    options = manifest.resolved.dataset.model_copy(update={"config": config})
    changed = {
        "resolved": manifest.resolved.model_copy(update={"dataset": options}),
        "stages": {**manifest.stages, "dataset": step},
    }
    text = json.dumps(manifest.model_copy(update=changed).dump())
    (folder / "manifest.json").write_text(text, "utf-8")


def client_env(server: LoopbackHub, home: Path) -> dict[str, str]:
    """What makes the Hub's clients speak to the loopback Hub, from a home of their own."""
    return {
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": server.token,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
