from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.pool_record import DONE, INDEX
from laion_eo.component import ComponentConfig, Context
from laion_eo.errors import ConfigError
from laion_eo.hookspecs import hookimpl
from laion_eo.images import read_image
from laion_eo.kinds import Embedder, ScoreBatch, Scorer
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON, Embeddings, Picture

FLOAT32 = ["embeddings.dtype=float32"]
"""With it, a run takes nothing over from the pool's own index."""


class Counting(Colours):
    name = "counting"
    summary = "colours, and how many pictures it was shown"
    seen = 0

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        type(self).seen += len(images)
        return super().embed_images(images)


class Captions(Scorer):
    name = "captions"
    summary = "length of the caption, for these tests"
    columns = pa.schema([("length", pa.int32())])

    def score(self, batch: ScoreBatch) -> pa.Table:
        lengths = [len(caption or "") for caption in batch.table["caption"].to_pylist()]
        return pa.table([pa.array(lengths, pa.int32())], schema=self.columns)


@pytest.fixture
def counting() -> type[Counting]:
    return type("Counted", (Counting,), {"seen": 0})


@pytest.fixture
def registry(counting: type[Counting]) -> Registry:
    @hookimpl
    def laion_eo_embedders() -> list[type[Embedder]]:
        return [Colours, counting]

    @hookimpl
    def laion_eo_scorers() -> list[type[Scorer]]:
        return [Captions]

    from laion_eo.testing import colours

    plugin: Any = SimpleNamespace(
        laion_eo_embedders=laion_eo_embedders,
        laion_eo_scorers=laion_eo_scorers,
        laion_eo_language_taggers=colours.laion_eo_language_taggers,
    )
    return Registry.discover([plugin])


@pytest.fixture
def data(run_data: dict[str, JSON]) -> dict[str, JSON]:
    return run_data | {"embedder": {"use": "counting"}}


def embedded(result: RunResult) -> tuple[int, int]:
    counts = result.manifest["stages"]["embeddings"]["counts"]
    return counts["embedded"], counts["taken_over"]


def test_an_image_is_embedded_once_for_all_that_follows(
    data: dict[str, JSON], registry: Registry, counting: type[Counting], tmp_path: Path
) -> None:
    out = tmp_path / "run"

    def go(*changes: str) -> RunResult:
        counting.seen = 0
        return run(data, out, [*FLOAT32, *changes], registry)

    first = embedded(go("retriever.k=20"))
    assert first[0] >= 20
    assert counting.seen == first[0] + 4
    assert first[1] == 0
    more = embedded(go("retriever.k=35"))
    assert more == (counting.seen, first[0])
    assert 0 < more[0] < first[0] + 20
    go("retriever.k=35", "scorers.text-similarity.prompt=a blue image")
    assert counting.seen == 0
    data["scorers"].append({"use": "captions"})
    again = go("retriever.k=35")
    assert "embeddings" not in again.ran
    assert counting.seen == 0


def test_another_anchor_is_the_only_one_that_is_embedded(
    data: dict[str, JSON],
    registry: Registry,
    counting: type[Counting],
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(data["anchors"]["root"], tmp_path / "anchors")
    data["anchors"]["root"] = str(folder)
    run(data, tmp_path / "run", FLOAT32, registry)
    picture = next(path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg"))
    from PIL import Image

    with Image.open(picture) as image:
        image.rotate(90).save(folder / "00-first.png")
    counting.seen = 0
    counts = run(data, tmp_path / "run", FLOAT32, registry).manifest["stages"]
    assert counts["anchors"]["counts"]["anchors"] == 5
    assert counting.seen == 1 + counts["embeddings"]["counts"]["embedded"]


def test_images_that_are_fetched_again_keep_their_vectors(
    data: dict[str, JSON], registry: Registry, counting: type[Counting], tmp_path: Path
) -> None:
    """The same options on other inputs: the parts bear the same names, and are not lost."""
    out = tmp_path / "run"
    many, _ = embedded(run(data, out, FLOAT32, registry))
    table = RunDir(out).read("downloads", ["filename"])
    part = next(iter((out / "downloads").glob("part-*")))
    part.unlink()  # its rows come anew, with other times
    (out / "images" / table["filename"][0].as_py()).unlink()
    counting.seen = 0
    again = run(data, out, FLOAT32, registry)
    assert "embeddings" in again.ran
    assert embedded(again) == (many, 0)  # still those of this run
    assert counting.seen == 0
    assert not (out / "embeddings" / ".shards").exists()


def test_another_run_lends_its_embeddings(
    data: dict[str, JSON], registry: Registry, counting: type[Counting], tmp_path: Path
) -> None:
    many, _ = embedded(run(data, tmp_path / "one", FLOAT32, registry))
    counting.seen = 0
    second = run(data, tmp_path / "two", FLOAT32, registry, reuse=[tmp_path / "one"])
    assert embedded(second) == (0, many)
    assert counting.seen == 0
    one, two = (RunDir(tmp_path / name).read("scores") for name in ("one", "two"))
    assert one.equals(two)
    with pytest.raises(ConfigError, match="--reuse: .*: no run directory"):
        run(data, tmp_path / "three", FLOAT32, registry, reuse=[tmp_path])


def test_a_damaged_part_of_another_run_is_not_taken_over(
    data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    many, _ = embedded(run(data, tmp_path / "one", FLOAT32, registry))
    part = next(iter((tmp_path / "one" / "embeddings").glob("part-*")))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    second = run(data, tmp_path / "two", FLOAT32, registry, reuse=[tmp_path / "one"])
    assert sum(embedded(second)) == many
    assert embedded(second)[0] > 0


def test_another_model_takes_nothing_over(
    data: dict[str, JSON], registry: Registry, counting: type[Counting], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    many, _ = embedded(run(data, out, FLOAT32, registry))
    counting.model_id = "colours-2"
    data["retriever"]["pool"] = str(unmarked(Path(data["retriever"]["pool"]), tmp_path))
    assert embedded(run(data, out, FLOAT32, registry)) == (many, 0)


def test_an_option_that_the_facts_do_not_tell_is_another_model(
    data: dict[str, JSON], registry: Registry, counting: type[Counting], tmp_path: Path
) -> None:
    class Config(ComponentConfig):
        mirrored: bool = False
        batch_size: int = 32

    counting.Config = Config  # type: ignore[assignment, misc]
    counting.facts = lambda _: {"weights_sha256": "0" * 64}  # type: ignore[assignment, method-assign]
    data["retriever"]["pool"] = str(unmarked(Path(data["retriever"]["pool"]), tmp_path))
    many, _ = embedded(run(data, tmp_path / "run", FLOAT32, registry))
    data["embedder"]["batch_size"] = 8  # says nothing of the vectors
    assert embedded(run(data, tmp_path / "run", FLOAT32, registry)) == (0, many)
    data["embedder"]["mirrored"] = True
    assert embedded(run(data, tmp_path / "run", FLOAT32, registry)) == (many, 0)


def unmarked(pool: Path, folder: Path) -> Path:
    """A copy of a pool that does not say which model made it."""
    copy = folder / "unmarked"
    shutil.copytree(pool, copy, ignore=shutil.ignore_patterns(INDEX, DONE))
    return copy


def test_the_pools_own_vectors_of_the_same_pictures(
    web: Path,
    web_url: str,
    data: dict[str, JSON],
    registry: Registry,
    counting: type[Counting],
    tmp_path: Path,
) -> None:
    index(web, tmp_path / "pool", {"use": "counting"}, web_url, registry)
    assert counting.seen == 52
    data["retriever"]["pool"] = str(tmp_path / "pool")
    counting.seen = 0
    result = run(data, tmp_path / "run", registry=registry)
    assert embedded(result)[0] == 0
    assert counting.seen == 4  # the anchors
    exact = run(data, tmp_path / "exact", FLOAT32, registry)
    assert embedded(exact)[1] == 0
    ours, theirs = (
        RunDir(one.folder).read("scores")["image_similarity"].to_numpy() for one in (result, exact)
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_float32_is_what_the_model_returned(
    data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    out = run(data, tmp_path / "run", FLOAT32, registry).folder
    run_dir = RunDir(out)
    table, downloads = run_dir.read("embeddings"), run_dir.read("downloads")
    names = dict(
        zip(downloads["sha256"].to_pylist(), downloads["filename"].to_pylist(), strict=True)
    )
    pictures = [read_image(out / "images" / names[one]) for one in table["sha256"].to_pylist()]
    wanted = Colours(ComponentConfig(), Context()).embed_images(pictures)
    assert b"".join(table["vector"].to_pylist()) == wanted.tobytes()


def test_a_scorer_may_judge_with_a_model_of_its_own(
    data: dict[str, JSON], registry: Registry, counting: type[Counting], tmp_path: Path
) -> None:
    data["embedder"] = {"use": "colours"}
    data["scorers"] = [
        {"use": "image-similarity", "embedder": {"use": "counting"}},
        {"use": "text-similarity", "prompt": "a green image"},
    ]
    counting.dim = 10

    def first_numbers(_: Counting, images: Sequence[Picture]) -> NDArray[np.float32]:
        counting.seen += len(images)
        short = Colours.embed_images(_, images)[:, :10]
        unit: NDArray[np.float32] = short / np.linalg.norm(short, axis=1, keepdims=True)
        return unit

    counting.embed_images = first_numbers  # type: ignore[assignment, method-assign]
    out = run(data, tmp_path / "run", registry=registry).folder
    run_dir = RunDir(out)
    rows, downloads = run_dir.read("candidates"), run_dir.read("downloads")
    files = dict(zip(downloads["url"].to_pylist(), downloads["filename"].to_pylist(), strict=True))
    pictures = [read_image(out / "images" / files[url]) for url in rows["url"].to_pylist()]
    anchors = [read_image(path) for path in sorted(Path(data["anchors"]["root"]).glob("*"))]
    model = counting(ComponentConfig(), Context())
    seen, known = first_numbers(model, pictures), first_numbers(model, anchors)
    wanted = np.sum(seen * known[rows["source"].to_numpy()], axis=1)
    scored = run_dir.read("scores")["image_similarity"].to_numpy()
    np.testing.assert_allclose(scored, wanted, atol=5e-3)
    assert run_dir.read("anchor_scores").num_rows == len(known)
