from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import load_dataset

from laion_eo import verify
from laion_eo.builtin.scorers.similarity import ImageSimilarity, TextSimilarity
from laion_eo.component import ComponentConfig, Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError
from laion_eo.kinds import ScoreBatch
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON, Embeddings


@pytest.fixture
def batch() -> ScoreBatch:
    images = [np.full((9, 7, 3), value, np.uint8) for value in ((0, 128, 0), (255, 0, 0))]
    embedder = Colours(ComponentConfig(), Context())
    anchors = embedder.embed_images([images[0], images[0]])
    seen = embedder.embed_images(images)
    return ScoreBatch(pa.table({"id": [1, 2]}), seen, anchors, embedder)


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


def text_similarity(**options: JSON) -> TextSimilarity:
    return TextSimilarity(validate(TextSimilarity.Config, options, "run: [[scorers]] 1"), Context())


def test_without_the_new_options_it_is_the_bare_product(batch: ScoreBatch) -> None:
    """To the last bit, under the name that is published; one of ``prompts`` is a ``prompt``."""
    prompt = batch.embedder.embed_texts(["a green image"])[0]
    want = pa.table({"text_similarity": batch.image_embeddings @ prompt})
    assert text_similarity(prompt="a green image").score(batch).equals(want)
    assert text_similarity(prompts=["a green image"]).score(batch).equals(want)


def test_several_prompts_are_their_normalised_mean(batch: ScoreBatch) -> None:
    scorer = text_similarity(prompts=["a green image", "a blue image"], column="green_or_blue")
    green, blue = batch.embedder.embed_texts(["a green image", "a blue image"]).astype(float)
    mean = (green + blue) / np.linalg.norm(green + blue)
    want = batch.image_embeddings @ mean
    np.testing.assert_allclose(scorer.score(batch)["green_or_blue"].to_numpy(), want, atol=1e-6)


def test_with_negatives_images_rank_as_by_the_difference(batch: ScoreBatch) -> None:
    draw = np.random.default_rng(2)
    images = [draw.integers(0, 256, (9, 7, 3), dtype=np.uint8) for _ in range(40)]
    anchors = batch.embedder.embed_images(images)
    seen = batch.embedder.embed_images(images)
    many = ScoreBatch(pa.table({"id": range(40)}), seen, anchors, batch.embedder)
    scorer = text_similarity(prompt="a green image", negatives=["red", "blue"])
    green, red, blue = batch.embedder.embed_texts(["a green image", "red", "blue"]).astype(float)
    negative = (red + blue) / np.linalg.norm(red + blue)
    difference = many.image_embeddings @ green - many.image_embeddings @ negative
    scores = scorer.score(many)["text_similarity"].to_numpy()
    assert np.argsort(scores).tolist() == np.argsort(difference).tolist()
    assert (np.sign(scores) == np.sign(difference)).all()
    assert {1.0, -1.0} == set(np.sign(scores))
    own, other = scorer.score(batch)["text_similarity"].to_pylist()
    assert -1 <= other < 0 < own <= 1


def test_prompts_are_embedded_once_for_each_model(batch: ScoreBatch) -> None:
    class Counting(Colours):
        def __init__(self) -> None:
            super().__init__(ComponentConfig(), Context())
            self.asked: list[Sequence[str]] = []

        def embed_texts(self, texts: Sequence[str]) -> Embeddings:
            self.asked.append(texts)
            return super().embed_texts(texts)

    scorer = text_similarity(prompts=["green", "grey"], negatives=["red"])
    for embedder in (Counting(), Counting()):
        mine = replace(batch, embedder=embedder)
        assert scorer.score(mine).equals(scorer.score(mine))
        assert embedder.asked == [["green", "grey"], ["red"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a", "prompts": ["b"]}, "either prompt or prompts is wanted, and not both."),
        ({"prompt": None}, "either prompt or prompts is wanted, and not both."),
        ({"prompt": " "}, "'prompt': a prompt is empty (got ' ')."),
        ({"prompts": ["a", ""]}, "'prompts.1': a prompt is empty (got '')."),
        ({"negatives": ["\n"]}, r"'negatives.0': a prompt is empty (got '\n')."),
        ({"prompts": []}, "'prompts': Tuple should have at least 1 item"),
        ({"prompts": "a"}, "'prompts': a list was expected."),
        ({"prompt": "a", "negatives": ["b", "a"]}, "'a' is a prompt and a negative."),
        ({"column": ""}, "'column': String should match pattern"),
        ({"column": "my score"}, "'column': String should match pattern"),
        ({"column": "image_similarity"}, "column 'image_similarity' is another score of the data"),
    ],
)
def test_options_that_are_refused(options: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        text_similarity(**options)
    assert str(caught.value).startswith(f"run: [[scorers]] 1: {message}")


def test_several_prompts_survive_the_run_file() -> None:
    config = text_similarity(prompts=["a", "b"]).config
    assert config.prompt is None
    assert TextSimilarity.Config.model_validate(config.model_dump(mode="json")) == config


def test_a_run_with_several_of_them(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    """Each has its column; ``text_similarity`` is published of the one that makes it."""
    run_data["scorers"] = [
        {"use": "image-similarity"},
        {"use": "text-similarity", "prompt": "a red image", "column": "redness"},
        {"use": "text-similarity", "prompt": "a green image"},
        {
            "use": "text-similarity",
            "prompts": ["a green image", "green"],
            "negatives": ["a red image"],
            "column": "green_not_red",
        },
    ]
    run_data["filters"] = [{"use": "column", "column": "green_not_red", "min": 0}]
    result = run(run_data, tmp_path / "run", registry=registry)
    scores = RunDir(result.folder).read("scores")
    assert scores.column_names[-4:] == [
        "image_similarity", "redness", "text_similarity", "green_not_red",
    ]  # fmt: skip
    redness, greenness = (scores[name].to_numpy() for name in ("redness", "text_similarity"))
    assert (scores["green_not_red"].to_numpy() > 0).tolist() == (greenness > redness).tolist()
    published = load_dataset(str(result.dataset), "ver-0", split="train")
    by_id = dict(zip(scores["id"].to_pylist(), greenness.tolist(), strict=True))
    assert published["text_similarity"] == [by_id[number] for number in published["id"]]
    assert verify(result.folder).faults == ()
    options = ["scorers.1.prompt=a blue image"]  # by its place: there are several of the name
    assert "scores" in run(run_data, tmp_path / "run", options, registry).ran
