from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.component import Context
from laion_eo.images import read_image
from laion_eo.pipeline import RunResult
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.vectors.queries import read_queries
from laion_eo.testing.colours import Colours


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


def test_an_image_is_compared_with_the_prompt(
    finished_run: RunResult, images: NDArray[np.float32]
) -> None:
    prompt = finished_run.manifest["resolved"]["scorers"][1]["prompt"]
    text = Colours(Colours.Config(), Context()).embed_texts([prompt])[0]
    scored = RunDir(finished_run.folder).read("scores")["text_similarity"].to_numpy()
    np.testing.assert_allclose(scored, images @ text, atol=2e-4)
