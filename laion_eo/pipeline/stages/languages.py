"""Stage ``languages``: name the language of each caption (section 2.4).

It comes before the filters, so that a filter may use it and a changed threshold does not tag again.
Captions that are noise get none, and are not shown to a tagger that does not ask for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from laion_eo.component import Component
from laion_eo.kinds import LanguageTagger
from laion_eo.kinds.contract import check_tags
from laion_eo.kinds.noise import is_noise
from laion_eo.pipeline.stages.assemble import with_downloads
from laion_eo.pipeline.stages.base import Rows, ShardedStage, row_ranges
from laion_eo.schema import LANGUAGES

BATCH = 4096


class Languages(ShardedStage):
    """One row per candidate whose image was downloaded."""

    name = "languages"
    version = 2
    needs = ("candidates", "downloads")

    def components(self) -> Sequence[Component]:
        """Return the language tagger."""
        return [self.workbench.one(LanguageTagger)]

    @cached_property
    def _table(self) -> pa.Table:
        table = with_downloads(self.run_dir)
        return table.filter(table["filename"].is_valid())

    def shards(self) -> Sequence[Rows]:
        """Return ranges of the downloaded candidates."""
        return row_ranges(self._table.num_rows, BATCH)

    def process(self, shard: Rows) -> pa.Table:
        """Tag a range of captions."""
        rows = self._table.slice(shard[0], shard[1] - shard[0])
        captions = [caption or "" for caption in rows["caption"].to_pylist()]
        if not captions:
            return LANGUAGES.empty_table()
        tagger = self.workbench.ready(self.workbench.one(LanguageTagger))
        shown = [i for i, text in enumerate(captions) if tagger.sees_noise or not is_noise(text)]
        tags = check_tags(tagger, tagger.tag([captions[i] for i in shown]), len(shown))
        codes: list[str | None] = [None] * len(captions)
        scores = np.zeros(len(captions), dtype=np.float32)
        for i, code in zip(shown, tags.codes, strict=True):
            codes[i] = code
        scores[shown] = tags.scores
        columns = [rows["id"], pa.array(codes, pa.string()), pa.array(scores)]
        return pa.table(columns, schema=LANGUAGES)

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the captions, and those without a language."""
        return {"captions": table.num_rows, "no language": table["lang"].null_count}
