"""Embeddings that are there already: of an earlier run here, or of other runs that were named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import Embedder
from laion_eo.kinds.contract import check_facts
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.workbench import identity

MADE_BY = b"laion_eo.embedder"
"""The key in a part's metadata under which it says what made its vectors."""
_WHERE = {"device", "batch_size"}
"""What an embedder's facts and options say of the machine, not of the vectors."""


def maker_of(embedder: Embedder) -> str:
    """Return a fingerprint of what makes vectors: model, weights, preparation, dtype of the model.

    The options count, too, as a plugin's facts may not tell all that they change. Of a model that
    records no hash of its weights, so do its files.

    Args:
        embedder: Set up.
    """
    facts = check_facts(embedder, embedder.facts())
    options = embedder.config.model_dump(mode="json")
    about = [{key: one[key] for key in one if key not in _WHERE} for one in (facts, options)]
    known = isinstance(facts.get("weights_sha256"), str)
    return fingerprint([embedder.model_id, *about, None if known else identity(embedder)])


def earlier_parts(run_dir: RunDir, stage: str, maker: str) -> Iterator[tuple[RunDir, Path]]:
    """Yield the parts of a stage, here and in the other runs, that the same maker has made.

    Args:
        run_dir: The run directory, which names the others.
        stage: The stage's name.
        maker: What each part must say that it was made by.
    """
    for folder in (run_dir, *run_dir.reused):
        for part in folder.sound_parts(stage):
            if (folder.metadata_of(part) or {}).get(MADE_BY) == maker.encode():
                yield folder, part


def parts_aside(run_dir: RunDir, stage: str, maker: str) -> list[Path]:
    """Return the parts of the same stage that were set aside as it was made of other inputs."""
    wanted = maker.encode()
    found = run_dir.aside(stage)
    return [part for part in found if (run_dir.metadata_of(part) or {}).get(MADE_BY) == wanted]


def made_by(schema: pa.Schema, maker: str) -> pa.Schema:
    """Return the schema of parts that say what made their vectors."""
    return schema.with_metadata({MADE_BY: maker.encode()})
