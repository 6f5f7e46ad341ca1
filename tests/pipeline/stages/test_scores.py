from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from laion_eo.component import Context
from laion_eo.hookspecs import hookimpl
from laion_eo.images import read_image
from laion_eo.kinds import ScoreBatch, Scorer
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.vectors.queries import read_queries
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON


@pytest.fixture(scope="module")
def images(finished_run: RunResult) -> NDArray[np.float32]:
    """Embeddings of the stored images, (n, dim), by the order of the candidates with one."""
    run_dir = RunDir(finished_run.folder)
    candidates, downloads = run_dir.read("candidates"), run_dir.read("downloads")
    names = dict(zip(downloads["url"].to_pylist(), downloads["filename"].to_pylist(), strict=True))
    embedder = Colours(Colours.Config(), Context())
    pictures = [
        read_image(run_dir.images / str(names[url])) for url in candidates["url"].to_pylist()
    ]
    return embedder.embed_images(pictures)


def test_an_image_is_compared_with_the_anchor_that_found_it(
    finished_run: RunResult, images: NDArray[np.float32]
) -> None:
    run_dir = RunDir(finished_run.folder)
    rows, anchors = read_queries(run_dir.read("anchors"))
    source = run_dir.read("candidates")["source"].to_numpy()
    assert rows["source"].to_pylist() == list(range(4))
    assert len(set(source.tolist())) > 1
    scored = run_dir.read("scores")["image_similarity"].to_numpy()
    np.testing.assert_allclose(scored, np.sum(images * anchors[source], axis=1), atol=2e-4)
    assert np.abs(scored - images @ anchors[0]).max() > 1e-4


class Unseeing(Scorer):
    name = "unseeing"
    summary = "whether it was shown pictures, for these tests"
    columns = pa.schema([("shown", pa.bool_())])

    def score(self, batch: ScoreBatch) -> pa.Table:
        shown = batch.pictures is not None
        return pa.table([[shown] * batch.table.num_rows], schema=self.columns)


def test_pictures_are_shown_only_to_a_scorer_that_needs_them(
    run_data: dict[str, JSON], tmp_path: Path
) -> None:
    @hookimpl
    def laion_eo_scorers() -> list[type[Scorer]]:
        return [Unseeing]

    plugin: Any = SimpleNamespace(laion_eo_scorers=laion_eo_scorers)
    run_data["scorers"] += [{"use": "perceptual-hash"}, {"use": "unseeing"}]
    run(run_data, tmp_path / "run", registry=Registry.discover([colours, plugin]))
    assert set(RunDir(tmp_path / "run").read("scores")["shown"].to_pylist()) == {False}


def test_an_image_is_compared_with_the_prompt(
    finished_run: RunResult, images: NDArray[np.float32]
) -> None:
    prompt = finished_run.manifest["resolved"]["scorers"][1]["prompt"]
    text = Colours(Colours.Config(), Context()).embed_texts([prompt])[0]
    scored = RunDir(finished_run.folder).read("scores")["text_similarity"].to_numpy()
    np.testing.assert_allclose(scored, images @ text, atol=2e-4)
