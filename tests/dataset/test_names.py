"""The bare name, from the four places: a fresh HF_HOME and a process of its own for each."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun, made_rows
from places import Load, Place, publish_runs

from laion_eo.dataset.builder import PUBLISHED_COMMIT

VER_0, VER_1, VER_9 = (Load("laion_eo", config) for config in ("ver-0", "ver-1", "ver-9"))


@pytest.mark.parametrize("place", [".", "hf_dataset"])
def test_bare_name_in_a_checkout(
    published_hub: LoopbackHub, checkout: Path, published: pa.Table, tmp_path: Path, place: str
) -> None:
    loaded, said = Place(published_hub, tmp_path, checkout / place).load(VER_0, VER_9)
    assert loaded == published
    assert "'ver-9' not found. Available: ['ver-0', 'ver-1']" in said


def test_checkout_refuses_another_number_of_rows(
    published_hub: LoopbackHub, checkout: Path, tmp_path: Path
) -> None:
    (said,) = Place(published_hub, tmp_path, checkout).load(VER_1)
    assert "NonMatchingSplitsSizesError" in said
    assert "num_examples=112985" in said


def test_bare_name_anywhere_after_pull(
    published_hub: LoopbackHub, published: pa.Table, tmp_path: Path
) -> None:
    here = Place(published_hub, tmp_path, tmp_path)
    said = here.python("-m", "laion_eo", "pull", "ver-0").stdout
    assert f"ver-0: 24,933 rows of commit {PUBLISHED_COMMIT}" in said
    assert here.load(VER_0) == [published]
    here.env["HF_HUB_OFFLINE"] = "1"
    ours = Load("laion_eo", "ver-0", loader="laion_eo")
    loaded, refused, by_us = here.load(VER_0, VER_9, ours)
    assert loaded == by_us == published
    assert "Available configs in the cache: ['ver-0']" in refused


def test_bare_name_in_a_checkout_after_pull(
    published_hub: LoopbackHub, checkout: Path, published: pa.Table, tmp_path: Path
) -> None:
    here = Place(published_hub, tmp_path, checkout)
    said = here.python("-m", "laion_eo", "pull", "ver-0").stdout
    assert str(checkout / "hf_dataset" / "laion_eo" / "ver-0") in said
    assert "num_examples=112985" in here.load(VER_1)[0]  # still that of the Hub
    for number, place in enumerate((checkout, checkout / "hf_dataset")):
        offline = Place(published_hub, tmp_path / str(number), place)
        offline.env["HF_HUB_OFFLINE"] = "1"
        assert offline.load(VER_0) == [published]


def test_release_loads_by_name_by_tag_and_streaming(
    hub: LoopbackHub, make_run: MakeRun, tmp_path: Path
) -> None:
    publish_runs(make_run)
    name = "org/laion_eo"
    first: dict[str, object] = {"revision": "v1.0.0"}
    *loaded, said = Place(hub, tmp_path, tmp_path).load(
        Load(name, "ver-1"),
        Load(name, "ver-0"),
        Load(name, "ver-0", first),
        Load(name, "ver-0", {"streaming": True, **first}),
        Load(name, "ver-1", {"streaming": True}),
        Load(name, "ver-9"),
    )
    assert loaded == [made_rows(rows) for rows in (30, 25, 20, 20, 30)]
    assert "Available: ['ver-0', 'ver-1']" in said
