"""Stage ``verdicts``: what is kept, and why the rest is not (sections 2.3 and 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from laion_eo.component import Component
from laion_eo.kinds import AnchorSet, Embedder, Filter
from laion_eo.kinds.contract import check_verdict
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.base import TableStage, row_ranges
from laion_eo.pipeline.vectors.queries import scored_anchors
from laion_eo.pipeline.vectors.seen import Seen
from laion_eo.schema import VERDICTS
from laion_eo.types import DownloadStatus, Verdict

BATCH = 100_000
DOWNLOAD = "download"
DECODE = "decode"


class Verdicts(TableStage):
    """One row per candidate. The filters work in order; each sees what those before it kept."""

    name = "verdicts"
    version = 2
    needs = (
        "anchors", "candidates", "downloads", "embeddings", "scores", "fitted_scores",
        "anchor_scores", "languages",
    )  # fmt: skip

    def components(self) -> Sequence[Component]:
        """Return the filters."""
        return self.workbench.all(Filter)

    def make(self) -> pa.Table:
        """Return the verdicts: made at once, as filters are fitted on all rows."""
        table = with_scores(self.run_dir)
        dropped_by = np.full(table.num_rows, None, dtype=object)
        reason = np.full(table.num_rows, None, dtype=object)
        _refuse_missing(table, dropped_by, reason)
        for filter_ in self.workbench.all(Filter):
            alive = np.flatnonzero(_undecided(dropped_by))
            verdict = self._judge(filter_, table.take(alive))
            dropped = alive[~verdict.mask]
            dropped_by[dropped] = filter_.name
            reason[dropped] = np.array(verdict.reasons, dtype=object)[~verdict.mask]
        columns = {
            "id": table["id"],
            "kept": pa.array(_undecided(dropped_by)),
            "filter": pa.array(dropped_by, pa.string()),
            "reason": pa.array(reason, pa.string()),
        }
        return pa.table(columns, schema=VERDICTS)

    def _judge(self, filter_: Filter, rows: pa.Table) -> Verdict:
        embedder = self.workbench.one(Embedder)
        data = self._seen.fit_data(rows, self._anchors, embedder)
        self.workbench.ready(filter_).fit(data)
        masks, reasons = [np.zeros(0, dtype=bool)], list[str]()
        for start, stop in row_ranges(rows.num_rows, BATCH):
            verdict = filter_.keep(rows.slice(start, stop - start))
            verdict = check_verdict(filter_, verdict, stop - start)
            masks.append(verdict.mask)
            reasons += verdict.reasons
        return Verdict(np.concatenate(masks), reasons)

    @cached_property
    def _seen(self) -> Seen:
        return Seen(self.workbench, self.run_dir)

    @cached_property
    def _anchors(self) -> AnchorSet:
        return scored_anchors(self.run_dir)

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the rows kept, and those that each filter dropped."""
        droppers = table["filter"].to_pylist()
        names = [DOWNLOAD, DECODE, *(part.name for part in self.components())]
        dropped = {name: droppers.count(name) for name in names}
        return {"kept": pc.sum(table["kept"]).as_py() or 0} | {
            k: v for k, v in dropped.items() if v
        }


def _undecided(dropped_by: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.array([name is None for name in dropped_by.tolist()], dtype=bool)


def _refuse_missing(
    table: pa.Table, dropped_by: NDArray[np.object_], reason: NDArray[np.object_]
) -> None:
    """Note the rows that have no image to judge."""
    columns = ("status", "status_reason", "image_error")
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    for place, (status, status_reason, image_error) in enumerate(rows):
        if not DownloadStatus(status).has_image:
            dropped_by[place], reason[place] = DOWNLOAD, f"{status}: {status_reason}"
        elif image_error is not None:
            dropped_by[place], reason[place] = DECODE, image_error
