"""The loading script, with the last datasets that runs scripts (tox environment `datasets3`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from fakes.hub_state import LoopbackHub
from fakes.hub_store import Blob
from made import MakeRun, made_rows
from places import ROOT, Load, Place, publish_runs

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(
        int(datasets.__version__.split(".")[0]) >= 4,
        reason="datasets 4 and newer run no scripts; tox -e datasets3 has one that does",
    ),
]
TRUST = {"trust_remote_code": True}


@pytest.fixture
def place(published_hub: LoopbackHub, tmp_path: Path) -> Place:
    shutil.copy(ROOT / "hf_dataset" / "laion_eo.py", tmp_path)
    return Place(published_hub, tmp_path, tmp_path)


def test_script_loads_the_published_csv(place: Place, published: pa.Table) -> None:
    script = Load("laion_eo.py", "ver-0", TRUST)
    streamed = Load("laion_eo.py", "ver-0", {"streaming": True, **TRUST})
    assert place.load(script, streamed) == [published, published]


def test_script_loads_a_release_by_its_tag(
    hub: LoopbackHub, make_run: MakeRun, tmp_path: Path
) -> None:
    place = Place(hub, tmp_path, ROOT / "hf_dataset")
    publish_runs(make_run)
    release = {"repo": "org/laion_eo", "tag": "v1.0.0", **TRUST}
    assert place.load(Load("laion_eo.py", "ver-0", release)) == [made_rows(20)]


def test_script_names_the_configurations(place: Place) -> None:
    (said,) = place.load(Load("laion_eo.py", "ver-9", TRUST))
    assert "'ver-9' not found. Available: ['ver-0', 'ver-1']" in said


def test_script_on_a_branch_of_the_release(
    hub: LoopbackHub, make_run: MakeRun, tmp_path: Path
) -> None:
    place = Place(hub, tmp_path, tmp_path)
    publish_runs(make_run)
    repo = hub.repos["org/laion_eo"]
    script = {"laion_eo.py": Blob((ROOT / "hf_dataset" / "laion_eo.py").read_bytes())}
    repo.add("script", "the script alone", script, repo.history("main")[-1])
    options = {"revision": "script", "repo": "org/laion_eo", "tag": "v1.0.0", **TRUST}
    assert place.load(Load("org/laion_eo", "ver-0", options)) == [made_rows(20)]
