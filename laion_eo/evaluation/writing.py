"""Writes a receipt into a run: its own file, the card, and the Croissant metadata."""

from __future__ import annotations

import json
from functools import partial

from laion_eo.blame import naming_culprits
from laion_eo.dataset.card import render_card
from laion_eo.dataset.receipt import Receipt
from laion_eo.dataset.tree import write_tree
from laion_eo.errors import RunError
from laion_eo.evaluation.candidates import Candidates
from laion_eo.pipeline.manifest import MANIFEST, Manifest
from laion_eo.pipeline.records import SEAL
from laion_eo.pipeline.stages import Publishing
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.publishing import card_sections, published_rows


def write_receipt(candidates: Candidates, receipt: Receipt) -> None:
    """Write ``receipt.json``, and the dataset's card and Croissant metadata with what it says.

    The rows of the dataset stay as they are. Killed half-way, the next ``laion-eo run`` ends it; it
    hands the new card to the publisher, too.

    Args:
        candidates: Of the run, which is not at work.
        receipt: What is to be said.

    Raises:
        RunError: Another process works in the run directory, or has changed it since.
        OSError: The disk cannot take it.
    """
    run_dir = candidates.run_dir
    with run_dir.lock():
        record = run_dir.record(Publishing.name)
        fault = run_dir.damage(Publishing.name)
        if record is None or fault:
            why = fault or "the dataset is not complete"
            raise RunError(f"{run_dir.path}: {why}; run it again first.")
        receipt.save(run_dir.path)
        manifest = Manifest.load(run_dir.path)
        stages = {name: one for name, one in manifest.stages.items() if name in Publishing.needs}
        told = manifest.model_copy(update={"stages": stages}).dump()
        with naming_culprits(candidates.registry):
            sections = card_sections(candidates.registry, run_dir, told)
        table = published_rows(with_scores(run_dir), run_dir.read("verdicts"))
        options = manifest.resolved.dataset
        card = partial(render_card, options, table, told, sections)
        # From here on, no record may speak of what changes.
        run_dir.records.remove(SEAL)
        run_dir.records.remove(Publishing.name)
        files = write_tree(run_dir.dataset, options.config, table, card)
        folder = run_dir.dataset.name
        named = tuple(f.model_copy(update={"path": f"{folder}/{f.path}"}) for f in files)
        record = record.model_copy(update={"files": named})
        run_dir.records.save(Publishing.name, record)
        stages = {**manifest.stages, Publishing.name: record}
        finished = manifest.model_copy(update={"stages": stages}).dump()
        run_dir.write_text(MANIFEST, json.dumps(finished, indent=1) + "\n")
        run_dir.seal()
