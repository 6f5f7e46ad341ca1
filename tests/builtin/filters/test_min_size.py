from __future__ import annotations

import pyarrow as pa

from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.component import Context


def test_min_size_is_the_papers_and_inclusive() -> None:
    table = pa.table({"width": [256, 255, 256, 4000], "height": [256, 256, 255, 10]})
    verdict = MinSize(MinSize.Config(), Context()).keep(table)
    assert verdict.mask.tolist() == [True, False, False, False]
    assert verdict.reasons[1] == "255 x 256 is below 256 x 256"
