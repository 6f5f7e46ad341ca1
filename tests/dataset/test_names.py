"""The bare name, from the four places: a fresh HF_HOME and a process of its own for each."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun, made_rows
from places import Place, publish_runs

from laion_eo.dataset.builder import PUBLISHED_COMMIT


@pytest.mark.parametrize("place", [".", "hf_dataset"])
def test_bare_name_in_a_checkout(
    published_hub: LoopbackHub, checkout: Path, published: pa.Table, tmp_path: Path, place: str
) -> None:
    here = Place(published_hub, tmp_path, checkout / place)
    assert here.load("laion_eo", "ver-0") == published
    said = here.fail("laion_eo", "ver-9")
    assert "'ver-9' not found. Available: ['ver-0', 'ver-1']" in said


def test_checkout_refuses_another_number_of_rows(
    published_hub: LoopbackHub, checkout: Path, tmp_path: Path
) -> None:
    said = Place(published_hub, tmp_path, checkout).fail("laion_eo", "ver-1")
    assert "NonMatchingSplitsSizesError" in said
    assert "num_examples=112985" in said


def test_bare_name_anywhere_after_pull(
    published_hub: LoopbackHub, published: pa.Table, tmp_path: Path
) -> None:
    here = Place(published_hub, tmp_path, tmp_path)
    said = here.python("-m", "laion_eo", "pull", "ver-0").stdout
    assert f"ver-0: 24,933 rows of commit {PUBLISHED_COMMIT}" in said
    assert here.load("laion_eo", "ver-0") == published
    here.env["HF_HUB_OFFLINE"] = "1"
    assert here.load("laion_eo", "ver-0") == published
    assert "Available configs in the cache: ['ver-0']" in here.fail("laion_eo", "ver-9")
    here.loader = "laion_eo"
    assert here.load("laion_eo", "ver-0") == published


def test_bare_name_in_a_checkout_after_pull(
    published_hub: LoopbackHub, checkout: Path, published: pa.Table, tmp_path: Path
) -> None:
    here = Place(published_hub, tmp_path, checkout)
    said = here.python("-m", "laion_eo", "pull", "ver-0").stdout
    assert str(checkout / "hf_dataset" / "laion_eo" / "ver-0") in said
    assert "num_examples=112985" in here.fail("laion_eo", "ver-1")  # still that of the Hub
    for number, place in enumerate((checkout, checkout / "hf_dataset")):
        offline = Place(published_hub, tmp_path / str(number), place)
        offline.env["HF_HUB_OFFLINE"] = "1"
        assert offline.load("laion_eo", "ver-0") == published


def test_release_loads_by_name_by_tag_and_streaming(
    hub: LoopbackHub, make_run: MakeRun, tmp_path: Path
) -> None:
    here = Place(hub, tmp_path, tmp_path)
    publish_runs(make_run)
    name = "org/laion_eo"
    first: dict[str, object] = {"revision": "v1.0.0"}
    calls: list[tuple[str, str, dict[str, object]]] = [
        (name, "ver-1", {}),
        (name, "ver-0", {}),
        (name, "ver-0", first),
        (name, "ver-0", {"streaming": True, **first}),
        (name, "ver-1", {"streaming": True}),
    ]
    assert here.load_all(calls) == [made_rows(rows) for rows in (30, 25, 20, 20, 30)]
    assert "Available: ['ver-0', 'ver-1']" in here.fail(name, "ver-9")
