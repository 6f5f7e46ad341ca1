"""The step after the stages: the kept rows with the published columns, and the card, published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from pydantic import JsonValue

from laion_eo.component import Component
from laion_eo.dataset.card import render_card
from laion_eo.dataset.tree import write_tree
from laion_eo.file_record import FileRecord
from laion_eo.kinds import Publisher, Release
from laion_eo.kinds.contract import check_revision
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.base import Step
from laion_eo.schema import PUBLISHED


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
        """Return the publisher's identity, and the run file: the card shows it."""
        return [super().identity(), self.workbench.run_file.data]

    def publish(self) -> dict[str, int]:
        """Write and publish the dataset; return its number of rows."""
        options = self.workbench.config.dataset
        manifest = self.workbench.manifest(self.run_dir.all_records(self.needs)).dump()
        sections = self.workbench.registry.manager.hook.laion_eo_card_sections(manifest=manifest)
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
