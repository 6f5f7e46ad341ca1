"""The step after the stages: the kept rows with the published columns, and the card, published."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import pyarrow as pa
from pydantic import JsonValue

from laion_eo.component import Component
from laion_eo.dataset.card import render_card
from laion_eo.dataset.receipt import RECEIPT, Receipt, receipt_section
from laion_eo.dataset.tree import write_tree
from laion_eo.file_record import FileRecord, digest_of
from laion_eo.fingerprint import file_sha256
from laion_eo.kinds import Publisher, Release
from laion_eo.kinds.contract import check_revision
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.base import Step
from laion_eo.registry import Registry
from laion_eo.schema import PUBLISHED

logger = logging.getLogger("laion_eo")


class Publishing(Step):
    """Writes ``dataset/`` of the run directory and hands it to the publisher.

    Attributes:
        files: What it wrote, as it was written; their paths start at the run directory.
    """

    files: tuple[FileRecord, ...] = ()
    name = "dataset"
    needs = (
        "anchors", "neighbors", "candidates", "downloads", "embeddings", "scores", "fitted_scores",
        "anchor_scores", "languages", "verdicts",
    )  # fmt: skip

    def components(self) -> Sequence[Component]:
        """Return the publisher."""
        return [self.workbench.one(Publisher)]

    def identity(self) -> JsonValue:
        """Return the publisher's identity, and what the card shows: run file and receipt."""
        path = self.run_dir.path / RECEIPT
        receipt = [file_sha256(path)] if path.is_file() else []
        return [super().identity(), self.workbench.run_file.data, *receipt]

    def publish(self) -> dict[str, int]:
        """Write and publish the dataset; return its number of rows."""
        options = self.workbench.config.dataset
        manifest = self.workbench.manifest(self.run_dir.all_records(self.needs)).dump()
        sections = card_sections(self.workbench.registry, self.run_dir, manifest)
        table = published_rows(with_scores(self.run_dir), self.run_dir.read("verdicts"))
        card = partial(render_card, options, table, manifest, sections)
        files = write_tree(self.run_dir.dataset, options.config, table, card)
        folder = self.run_dir.dataset.name
        self.files = tuple(f.model_copy(update={"path": f"{folder}/{f.path}"}) for f in files)
        publisher = self.workbench.ready(self.workbench.one(Publisher))
        revision = publisher.publish(Release(options.config, self.run_dir.dataset, files))
        self._revision = check_revision(publisher, revision)
        return {"rows": table.num_rows}

    def facts(self) -> dict[str, dict[str, JsonValue]]:
        """Return the publisher's facts, and the revision that it gave."""
        name = self.workbench.one(Publisher).name
        return {name: {**super().facts().get(name, {}), "revision": self._revision}}


def card_sections(
    registry: Registry, run_dir: RunDir, manifest: Mapping[str, JsonValue]
) -> list[str]:
    """Return the further sections of the card: the receipt, and those of plugins.

    Args:
        registry: Knows the plugins.
        run_dir: Where a receipt may be; one of other verdicts is left out, and a line says so.
        manifest: The run's, up to the verdicts.

    Raises:
        DataError: The receipt is damaged.
    """
    sections: list[str] = registry.manager.hook.laion_eo_card_sections(manifest=manifest)
    receipt, record = Receipt.load(run_dir.path), run_dir.record("verdicts")
    if receipt is None or record is None:
        return sections
    if receipt.verdicts != digest_of(record.files):
        logger.warning(
            "%s is of other verdicts, and is left out of the card: run `laion-eo evaluate` again",
            run_dir.path / RECEIPT,
        )
        return sections
    return [receipt_section(receipt), *sections]


def published_rows(scored: pa.Table, verdicts: pa.Table) -> pa.Table:
    """Return the kept rows with the columns of :data:`laion_eo.schema.PUBLISHED`.

    A column that the run does not compute (a run without ``text-similarity``, say) is null.

    Args:
        scored: One row per candidate, all columns.
        verdicts: The verdicts on the same rows, in the same order.
    """
    kept = scored.filter(verdicts["kept"])
    columns = [
        kept[field.name].cast(field.type)
        if field.name in kept.column_names
        else pa.nulls(kept.num_rows, field.type)
        for field in PUBLISHED
    ]
    return pa.table(columns, schema=PUBLISHED)
