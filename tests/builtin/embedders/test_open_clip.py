from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.hub_state import Fault, LoopbackHub
from PIL import Image
from processes import python
from small_models import DIM, MODEL, write_clip

from laion_eo.builtin.embedders.open_clip import LONGEST_STRIP, OpenClip, middle_of_strip
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError
from laion_eo.kinds.contract import check_embeddings
from laion_eo.types import Picture

torch = pytest.importorskip("torch")
if find_spec("open_clip") is None:
    pytest.skip("the extra clip is not installed", allow_module_level=True)


def embedder(checkpoint: str | Path, base: Path | None = None, **options: Any) -> OpenClip:
    data = {"model": MODEL, "pretrained": str(checkpoint), **options}
    return OpenClip(validate(OpenClip.Config, data, "test", base), Context())


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small model, seeded; open_clip learns of the model."""
    return write_clip(tmp_path_factory.mktemp("open_clip"))


@pytest.fixture(scope="session")
def clip(checkpoint: Path) -> OpenClip:
    made = embedder(checkpoint, batch_size=4)
    made.setup()
    return made


def pictures(sizes: Sequence[tuple[int, int]]) -> list[Picture]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in sizes]


ODD = [(1, 1), (1, 3), (2, 700), (700, 2), (3000, 2000), (224, 224), (300, 257), (64, 64), (9, 999)]


def test_images_become_unit_vectors_that_their_batch_does_not_change(clip: OpenClip) -> None:
    images = pictures(ODD)
    together = clip.embed_images(images)
    check_embeddings(clip, together, len(ODD))
    assert together.shape == (len(ODD), DIM) == (len(ODD), clip.dim)
    alone = np.concatenate([clip.embed_images([image]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(together, clip.embed_images(images))
    assert np.abs(together - together[5]).max(axis=1)[[0, 4, 7]].min() > 1e-3


def test_texts_become_unit_vectors(clip: OpenClip) -> None:
    words = "harbour " * 200
    texts = ["a satellite image", "", words, words + "cat", "été 🛰 河", "\n\t", "a satellite image"]
    vectors = clip.embed_texts(texts)
    check_embeddings(clip, vectors, len(texts))
    np.testing.assert_allclose(vectors[2], vectors[3], atol=1e-6)  # both are cut at 77 tokens
    np.testing.assert_allclose(vectors[0], vectors[6], atol=1e-6)
    np.testing.assert_allclose(vectors[0], clip.embed_texts(texts[:1])[0], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_nothing_to_embed(clip: OpenClip) -> None:
    for empty in (clip.embed_images([]), clip.embed_texts([])):
        assert empty.shape == (0, DIM)
        assert empty.dtype == np.float32


@pytest.mark.parametrize(
    ("size", "middle"),
    [((1, 1), (1, 1)), ((300, 200), (300, 200)), ((8, 60_000), (8, 128)), ((60_000, 8), (128, 8))],
)
def test_the_middle_of_a_strip(size: tuple[int, int], middle: tuple[int, int]) -> None:
    strip = np.zeros((*size, 3), np.uint8)
    strip[size[0] // 2, size[1] // 2] = 255
    found = middle_of_strip(strip)
    assert found.shape == (*middle, 3)
    assert found[middle[0] // 2, middle[1] // 2].tolist() == [255] * 3


def test_of_a_long_strip_only_the_middle_is_embedded(clip: OpenClip) -> None:
    middle = pictures([(8, 8 * LONGEST_STRIP)])[0]
    strip = np.zeros((8, 60_000, 3), np.uint8)  # resized in full it would have 1.1 GB
    left = (strip.shape[1] - middle.shape[1]) // 2
    strip[:, left : left + middle.shape[1]] = middle
    vectors = clip.embed_images([strip, middle])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_the_same_vectors_as_open_clip_itself(clip: OpenClip, checkpoint: Path) -> None:
    import open_clip

    model, _, prepare = open_clip.create_model_and_transforms(MODEL, pretrained=str(checkpoint))
    image = pictures([(240, 320)])[0]
    with torch.inference_mode():
        wanted = model.eval().encode_image(prepare(Image.fromarray(image))[None], normalize=True)
        text = model.encode_text(open_clip.get_tokenizer(MODEL)(["a lake"]), normalize=True)
    np.testing.assert_allclose(clip.embed_images([image]), wanted.numpy(), atol=1e-5)
    np.testing.assert_allclose(clip.embed_texts(["a lake"]), text.numpy(), atol=1e-5)


def test_bfloat16_is_close_to_float32(clip: OpenClip, checkpoint: Path) -> None:
    half = embedder(checkpoint, dtype="bfloat16")
    half.setup()
    images, texts = pictures([(224, 224), (100, 300)]), ["a lake", ""]
    for ours, exact in (
        (half.embed_images(images), clip.embed_images(images)),
        (half.embed_texts(texts), clip.embed_texts(texts)),
    ):
        check_embeddings(half, ours, 2)
        assert (ours * exact).sum(axis=1).min() > 0.99
        assert np.abs(ours - exact).max() > 0
    assert half.facts()["dtype"] == "bfloat16"
    assert half.facts()["weights_sha256"] == clip.facts()["weights_sha256"]


def test_the_manifest_learns_what_was_used(clip: OpenClip, checkpoint: Path) -> None:
    from safetensors.torch import save_file

    state = torch.load(checkpoint, weights_only=True)
    again = checkpoint.with_name("same.safetensors")
    save_file(state, again)
    same = embedder(again)
    same.setup()
    assert same.facts()["weights_sha256"] == clip.facts()["weights_sha256"]
    state["logit_scale"] += 1
    torch.save(state, checkpoint.with_name("other.pt"))
    other = embedder(checkpoint.with_name("other.pt"))
    other.setup()
    assert other.facts()["weights_sha256"] != clip.facts()["weights_sha256"]
    facts = clip.facts()
    assert facts["model_id"] == f"open_clip:{MODEL}/small.pt"
    here = ("cuda", "float16") if torch.cuda.is_available() else ("cpu", "float32")
    assert (facts["device"], facts["dtype"]) == here
    assert facts["preprocessing"]["mean"] == pytest.approx((0.4814, 0.4578, 0.4082), abs=1e-3)


def test_a_local_checkpoint_starts_at_the_run_files_folder(checkpoint: Path) -> None:
    base = checkpoint.parent.parent
    inside = f"{checkpoint.parent.name}/{checkpoint.name}"
    for written, start in ((inside, base), ("./small.pt", checkpoint.parent)):
        found = embedder(written, base=start)
        assert found.config.pretrained == str(checkpoint)
        assert found.identity()
    before = embedder(checkpoint).identity()
    os.utime(checkpoint, ns=(1, 1))
    assert embedder(checkpoint).identity() != before
    assert embedder("openai", base=base).config.pretrained == "openai"
    assert embedder("openai").identity() is None


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": "laion-eo-smal"}, f"Did you mean {MODEL!r}?"),
    ({"pretrained": "laion9b"}, "no such file or tag of weights; its tags: none."),
    ({"model": "ViT-B-32", "pretrained": "laion9b"}, "laion2b_s34b_b79k"),
    ({"pretrained": "./missing.pt"}, "no such file of weights"),
    ({"model": "ViT-B-32", "pretrained": "openai"}, 'model = "ViT-B-32-quickgelu"'),
    ({"model": "ViT-B-32-quickgelu", "pretrained": "laion2b_e16"}, "laion400m_e32"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_names_are_one_clear_line(
    options: dict[str, Any], message: str, checkpoint: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        embedder(**{"checkpoint": options.pop("pretrained", checkpoint), **options}).setup()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert repr(options.get("model", MODEL)) in str(caught.value)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


SPOILERS: dict[str, Callable[[Path], object]] = {
    "text.pt": lambda file: file.write_text("hello"),
    "empty.pt": lambda file: file.write_bytes(b""),
    "empty.safetensors": lambda file: file.write_bytes(b""),
    "pickle.pt": lambda file: file.write_bytes(pickle.dumps({"weight": _Evil()}, protocol=2)),
    "saved.pt": lambda file: torch.save({"weight": _Evil()}, file),
    "list.pt": lambda file: torch.save([1], file),
    "nothing.pt": lambda file: torch.save({}, file),
    "other.pt": lambda file: torch.save({"weight": torch.zeros(1)}, file),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_a_spoilt_checkpoint_is_refused_and_nothing_in_it_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    SPOILERS[name](tmp_path / name)
    with pytest.raises(ConfigError, match=f"{name} cannot be loaded: ") as caught:
        embedder(tmp_path / name).setup()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()


def test_a_device_that_is_not_there(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"device = 'warp' .* device = \"auto\""):
        embedder(checkpoint, device="warp").setup()


def test_loading_leaves_the_root_logger_as_it_was(checkpoint: Path) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    embedder(checkpoint).setup()
    assert root.handlers == before


def test_weights_that_the_hub_does_not_have(hub: LoopbackHub) -> None:
    hub.faults.append(Fault("GET", "models/timm/vit_base", 404, 99))
    with pytest.raises(ConfigError) as caught:
        OpenClip(OpenClip.Config(model="ViT-B-32-quickgelu"), Context()).setup()
    line = str(caught.value)
    assert "\n" not in line
    assert "'ViT-B-32-quickgelu' with weights 'openai'" in line
    assert "timm/vit_base_patch32_clip_224.openai is unavailable from the Hub" in line
    assert hub.token not in line
    assert hub.faults[0].times == 98  # no retries


KNOWN = """
import sys
from laion_eo.builtin.embedders.open_clip import OpenClip
from laion_eo.component import Context
from laion_eo.errors import ConfigError
for model in ("ViT-L-14-quickgelu", "ViT-B-32", "ViT-B-23"):
    embedder = OpenClip(OpenClip.Config(model=model), Context())
    try:
        embedder.check()
        print(embedder.known_dim(), embedder.model_id)
    except ConfigError as error:
        print(error)
print("torch" in sys.modules)
"""


def test_what_is_known_without_torch() -> None:
    large, base, wrong, loaded = python(KNOWN, {"HF_HUB_OFFLINE": "0"}).stdout.splitlines()
    assert large == "768 open_clip:ViT-L-14-quickgelu/openai"
    assert base == "512 open_clip:ViT-B-32/openai"
    assert "'ViT-B-23' with weights 'openai': open_clip has no such model. Did you mean" in wrong
    assert loaded == "False"


def test_a_model_that_open_clip_was_told_of_is_known_to_nobody_else(clip: OpenClip) -> None:
    clip.check()
    assert clip.known_dim() is None
