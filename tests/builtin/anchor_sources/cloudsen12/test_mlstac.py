from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.cloudsen12 import (
    RED_GREEN_BLUE,
    holds,
    patch,
    write_container,
    write_plus,
)

from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
from laion_eo.builtin.anchor_sources.cloudsen12.mlstac import read_index
from laion_eo.errors import ConfigError, DataError
from laion_eo.types import Anchor, SkippedAnchor

Source = Callable[..., CloudSEN12]
Read = Callable[[CloudSEN12], list[Anchor]]


def check_plus(root: Path, source: Source, read: Read, side: int = 512) -> None:
    found = read(source(root, level="L1C"))
    assert [anchor.id for anchor in found] == ["p3", "p0", "p2"]
    for number, anchor in zip((3, 0, 2), found, strict=True):
        assert holds(anchor, patch(number, 15, side)[RED_GREEN_BLUE])
        assert anchor.acquired == datetime(2019, 1, number + 1, 10, 10, 31, tzinfo=UTC)


def test_containers_give_the_patches_by_their_ids(plus: Path, source: Source, read: Read) -> None:
    check_plus(plus, source, read)


def test_containers_of_jpeg_2000(tmp_path: Path, source: Source, read: Read) -> None:
    write_plus(tmp_path / "plus", tmp_path / "scratch", "JP2OpenJPEG", side=64)
    check_plus(tmp_path / "plus", source, read, side=64)


def test_containers_where_mlstac_downloaded_them(plus: Path, source: Source, read: Read) -> None:
    (plus / "train").rename(plus / "mls")
    (plus / "train").mkdir()
    (plus / "mls").rename(plus / "train" / "mls")
    check_plus(plus, source, read)


@pytest.mark.peers
def test_the_writer_of_the_format(tmp_path: Path, source: Source, read: Read) -> None:
    mlstac = pytest.importorskip("mlstac")
    if not hasattr(mlstac, "create_file"):
        pytest.skip("mlstac up to 0.1.8 wanted, which wrote the format")

    def writer(path: Path, files: Sequence[Path]) -> None:
        mlstac.create_file([str(file) for file in files], path)
        write_container(path.with_suffix(".ours"), files)
        assert path.with_suffix(".ours").read_bytes() == path.read_bytes()

    write_plus(tmp_path / "plus", tmp_path / "scratch", "GTiff", writer)
    check_plus(tmp_path / "plus", source, read)


def test_containers_have_no_l2a_and_say_so(plus: Path, source: Source) -> None:
    with pytest.raises(ConfigError, match=r"hold L1C only; set anchors\.level = 'L1C'"):
        source(plus).count()


def test_a_missing_container_is_named(plus: Path, source: Source) -> None:
    (plus / "train" / "train_509_scribble.mlstac").unlink()
    with pytest.raises(DataError, match=r"train_509_scribble\.mlstac: no such file; .*parquet"):
        source(plus, level="L1C").count()


def test_patches_that_a_container_lacks_or_that_are_cut_off_are_skipped(
    plus: Path, source: Source
) -> None:
    high, scribble = (plus / "train" / f"train_509_{k}.mlstac" for k in ("high", "scribble"))
    high.write_bytes(high.read_bytes().replace(b'"p0"', b'"q0"', 1))
    scribble.write_bytes(scribble.read_bytes()[:-100])
    p3, p0, p2 = source(plus, level="L1C").anchors()
    assert isinstance(p3, SkippedAnchor)
    assert p3.reason == f"{scribble}: truncated within the sample; download it again."
    assert isinstance(p0, SkippedAnchor)
    assert "no .mlstac container holds 'p0'" in p0.reason
    assert isinstance(p2, Anchor)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"#y" + b"\xff" * 8,
        b"#y" + (2).to_bytes(8, "little") + b"[]",
        b"#y" + (9).to_bytes(8, "little") + b'{"a": 1}!',
        b"#y" + (14).to_bytes(8, "little") + b'{"a": [0, -1]}',
        b"#y" + (99).to_bytes(8, "little") + b'{"a": [0, 1]}'[:6],
    ],
)
def test_what_is_no_container(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mlstac").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mlstac: "):
        read_index(tmp_path / "a.mlstac")
