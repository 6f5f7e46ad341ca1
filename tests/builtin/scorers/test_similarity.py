from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.builtin.scorers.similarity import ImageSimilarity, TextSimilarity
from laion_eo.component import ComponentConfig, Context
from laion_eo.kinds import ScoreBatch
from laion_eo.testing.colours import Colours


@pytest.fixture
def batch() -> ScoreBatch:
    images = [np.full((9, 7, 3), value, np.uint8) for value in ((0, 128, 0), (255, 0, 0))]
    embedder = Colours(ComponentConfig(), Context())
    anchors = embedder.embed_images([images[0], images[0]])
    return ScoreBatch(pa.table({"id": [1, 2]}), images, anchors, embedder)


def test_image_similarity_is_the_cosine_to_the_rows_anchor(batch: ScoreBatch) -> None:
    values = ImageSimilarity(ComponentConfig(), Context()).score(batch)
    want = (batch.image_embeddings.astype(float) * batch.anchor_embeddings).sum(axis=1)
    np.testing.assert_allclose(values["image_similarity"], want, atol=1e-6)
    assert values["image_similarity"][0].as_py() == pytest.approx(1.0)


def test_text_similarity_is_the_cosine_to_the_prompt(batch: ScoreBatch) -> None:
    scorer = TextSimilarity(TextSimilarity.Config(prompt="a green image"), Context())
    values = scorer.score(batch)["text_similarity"].to_pylist()
    assert values[0] == pytest.approx(1.0)
    assert values[1] < 0


def test_the_prompt_is_the_papers() -> None:
    assert TextSimilarity.Config().prompt == "a satellite image"
