from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes.cloudsen12 import (
    RED_GREEN_BLUE,
    holds,
    names,
    patch,
)

from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
from laion_eo.errors import DataError
from laion_eo.types import Anchor

Source = Callable[..., CloudSEN12]
Read = Callable[[CloudSEN12], list[Anchor]]


def test_memmaps_give_the_rows_of_the_metadata(memmaps: Path, source: Source, read: Read) -> None:
    found = read(source(memmaps))
    assert [anchor.id for anchor in found] == ["/".join(names(n)) for n in (1, 2)]
    for number, anchor in zip((1, 2), found, strict=True):
        assert holds(anchor, patch(number, 12, 512, np.int16)[RED_GREEN_BLUE])
        assert anchor.lat == pytest.approx(57 + number / 10)


def test_memmaps_of_one_repository(memmaps: Path, source: Source, read: Read) -> None:
    root = memmaps / "CloudSEN12-high"
    with pytest.raises(DataError, match=r"no 'scribble' patches in the train set \(memmap\)"):
        source(root).count()
    (anchor,) = read(source(root, label_types=["high"], bands=["B8A"]))
    assert holds(anchor, patch(1, 12, 512, np.int16)[[8]])


def test_memmaps_are_read_row_by_row(memmaps: Path, source: Source) -> None:
    anchor = next(source(memmaps).anchors())
    assert isinstance(anchor, Anchor)
    assert anchor.pixels is not None
    assert not isinstance(anchor.pixels, np.memmap)
    assert anchor.pixels.base is None


def test_an_incomplete_or_missing_memmap_is_named_before_any_patch(
    memmaps: Path, source: Source
) -> None:
    path = memmaps / "CloudSEN12-scribble" / "train" / "L2A_B03.dat"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError) as error:
        source(memmaps).count()
    assert f"{path}: 1048574 bytes, but 2 rows of metadata.csv need 1048576" in str(error.value)
    path.unlink()
    with pytest.raises(DataError, match=r"L2A_B3\.dat: no such file; .*split.*metadata\.csv"):
        source(memmaps).count()
