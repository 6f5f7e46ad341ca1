"""Stage ``dataset``: the kept rows with the published columns, and the card, published."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.dataset.card import render_card
from laion_eo.dataset.tree import write_tree
from laion_eo.kinds import Publisher, Release
from laion_eo.kinds.contract import check_revision
from laion_eo.pipeline.engines.local import Engine
from laion_eo.pipeline.manifest import describe
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.base import Stage
from laion_eo.schema import PUBLISHED
from laion_eo.types import JSON


class Dataset(Stage):
    """Writes ``dataset/`` of the run directory and hands it to the publisher."""

    name = "dataset"
    needs = ("anchors", "neighbors", "candidates", "downloads", "scores", "languages", "verdicts")

    def components(self) -> Sequence[Component]:
        """Return the publisher."""
        return [self.bench.one(Publisher)]

    def identity(self) -> JSON:
        """Return the publisher's identity, and the run file: the card shows it."""
        return [super().identity(), self.bench.run_file.data]

    def total(self) -> int:
        """Return 1."""
        return 1

    def parts(self, engine: Engine, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:  # noqa: ARG002 - writes files, not parts
        """Write and publish the dataset; there are no parts."""
        options = self.bench.config.dataset
        manifest = describe(self.bench, self.run_dir, self.needs)
        sections = self.bench.registry.manager.hook.laion_eo_card_sections(manifest=manifest)
        table = published_rows(with_scores(self.run_dir), self.run_dir.read("verdicts"))
        card = partial(render_card, options, table, manifest, sections)
        write_tree(self.run_dir.dataset, options.config, table, card)
        publisher = self.bench.ready(self.bench.one(Publisher))
        revision = publisher.publish(Release(options.config, self.run_dir.dataset))
        self._revision = check_revision(publisher, revision)
        self._rows = table.num_rows
        yield from ()

    def counts(self, table: pa.Table) -> dict[str, int]:  # noqa: ARG002 - it has no table
        """Count the rows."""
        return {"rows": self._rows}

    def facts(self) -> dict[str, JSON]:
        """Return the revision that the publisher gave."""
        return {self.bench.one(Publisher).name: {"revision": self._revision}, **super().facts()}


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
