"""Images of every format, damaged in every way: a picture or an ImageError, and nothing else."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.encodings import damaged, encodings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laion_eo.component import ComponentConfig, Context
from laion_eo.images import MAX_SIDE, ImageError, decode_image, inspect_image
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.testing import serve_folder
from laion_eo.testing.colours import Colours
from laion_eo.texts import one_line
from laion_eo.types import JSON

PIXELS = 2_000_000
"""The limit here, so that no test needs gigabytes."""


@pytest.mark.parametrize("name", sorted(encodings()))
def test_what_is_sound_is_a_picture_of_its_size(name: str) -> None:
    content = encodings()[name]
    info = inspect_image(content)
    assert decode_image(content).shape == (info.height, info.width, 3)


def try_one(content: bytes) -> bool:
    """Return whether it is a picture; anything but an ImageError, a warning too, is a failure."""
    decoded = False
    for read in (inspect_image, decode_image):
        try:
            found = read(content, PIXELS)
        except ImageError as error:
            assert "\n" not in str(error)
            assert one_line(str(error)) == str(error)
            assert len(str(error)) < 300
            assert not error.status.has_image
            continue
        if isinstance(found, np.ndarray):
            decoded = True
            assert found.dtype == np.uint8
            assert found.ndim == 3
            assert found.shape[2] == 3
            assert 0 < max(found.shape[:2]) <= MAX_SIDE
            assert min(found.shape) > 0
        else:
            assert 0 < found.width * found.height <= PIXELS
    return decoded


def fuzz(examples: int) -> Counter[bool]:
    counts: Counter[bool] = Counter()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(encodings())), st.randoms(use_true_random=False), st.booleans())
    def each(name: str, draw: random.Random, twice: bool) -> None:
        content = damaged(encodings()[name], draw)
        counts[try_one(damaged(content, draw) if content and twice else content)] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        each()
    return counts


def test_damaged_images() -> None:
    counts = fuzz(60)
    assert min(counts[True], counts[False]) > 10, counts


@pytest.mark.slow
def test_300_damaged_images() -> None:
    counts = fuzz(300)
    assert min(counts[True], counts[False]) > 50, counts


def images_through_a_run(
    examples: int, data: dict[str, JSON], registry: Registry, folder: Path
) -> None:
    """Each ends as a download with a reason, as an image error with one, or with scores."""
    web, pool = folder / "web", folder / "pool"
    web.mkdir()
    for name in ("img_emb", "metadata"):
        (pool / name).mkdir(parents=True)
    for seed in range(examples):
        draw = random.Random(seed)
        content = damaged(encodings()[draw.choice(sorted(encodings()))], draw)
        (web / f"{seed}.bin").write_bytes(content)
    noise = np.random.default_rng(0)
    embedder = Colours(ComponentConfig(), Context())
    vectors = embedder.embed_images(
        [noise.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(examples)]
    )
    np.save(pool / "img_emb" / "0.npy", vectors)
    with serve_folder(web) as url:
        urls = [f"{url}{seed}.bin" for seed in range(examples)]
        table = pa.table({"url": urls, "caption": [f"image {seed}" for seed in range(examples)]})
        pq.write_table(table, pool / "metadata" / "0.parquet")
        data["retriever"] |= {"pool": str(pool), "k": examples}
        data["downloader"] |= {"max_pixels": PIXELS, "min_side": 1}
        data["filters"] = [{"use": "duplicates"}]
        result = run(data, folder / "run", (), registry)
    run_dir = RunDir(result.folder)
    assert run_dir.read("candidates").num_rows == examples
    downloads, scores = run_dir.read("downloads").to_pylist(), run_dir.read("scores").to_pylist()
    assert len(downloads) == len(scores) == examples
    for row in downloads:
        assert (row["filename"] is None) == bool(row["reason"]) or row["status"] == "animated"
    for row in scores:
        assert (row["image_error"] is None) == (row["image_similarity"] is not None)
    verdicts = run_dir.read("verdicts").to_pylist()
    assert all(row["kept"] or row["reason"] for row in verdicts)
    assert sum(row["kept"] for row in verdicts) > examples // 10


def test_damaged_images_through_a_run(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    images_through_a_run(60, run_data, registry, tmp_path)


@pytest.mark.slow
def test_300_damaged_images_through_a_run(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    images_through_a_run(300, run_data, registry, tmp_path)
