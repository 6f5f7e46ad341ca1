from __future__ import annotations

from pathlib import Path

import pytest

from laion_eo.builtin.filters import SimilarityThreshold
from laion_eo.component import Context
from laion_eo.config import RunFile
from laion_eo.kinds import Filter, Retriever
from laion_eo.pipeline.bench import Workbench
from laion_eo.registry import Registry

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def workbench(name: str) -> Workbench:
    return Workbench(RunFile.load(EXAMPLES / name), Registry.discover(), Context())


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.toml")))
def test_every_example_is_a_valid_run_file(name: str) -> None:
    assert workbench(name).run_file.name == name


@pytest.mark.parametrize(
    ("name", "k", "image", "text"),
    [("ver-0.toml", 100, None, None), ("ver-1.toml", 1000, 0.78026, 0.14919)],
)
def test_the_papers_two_runs(name: str, k: int, image: float | None, text: float | None) -> None:
    bench = workbench(name)
    assert bench.one(Retriever).config.k == k
    (threshold,) = (f for f in bench.all(Filter) if isinstance(f, SimilarityThreshold))
    assert (threshold.config.image, threshold.config.text) == (image, text)
    assert threshold.config.sigma == 1.5
