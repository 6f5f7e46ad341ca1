"""A joint image-text embedder: small frozen backbones from packages, with a trained head each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.embedders.tiny.backbones import ImageBackbone, TextBackbone, require

MODEL_ID = "tiny-1"
DIM = 384
"""Length of an embedding, as the weights have it."""
WEIGHTS = Path(__file__).with_name("tiny.safetensors")


class Heads:
    """The trained layers on both backbones, as plain arrays.

    Each head is a linear path, which preserves what the backbone knows, plus a small hidden layer.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take the arrays as the training writes them.

        Args:
            weights: For each layer ``weight``, int8 (out, in), ``weight_scale`` and ``bias``,
                float32 (out,); for the features of pictures ``image.mean`` and ``image.scale``.
        """
        self._arrays = {
            name: array.astype(np.float32) * weights[f"{name}_scale"][:, None]
            if name.endswith(".weight")
            else array
            for name, array in weights.items()
        }

    @classmethod
    def load(cls, file: Path) -> Heads:
        """Read a safetensors file."""
        load_file = require("safetensors.numpy", "safetensors").load_file
        return cls(load_file(file))

    @property
    def dim(self) -> int:
        """Dimension of the embeddings."""
        return len(self._arrays["image.linear.bias"])

    def image(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the features of one picture, (features,), into a vector of length 1, (dim,)."""
        standard = (features - self._arrays["image.mean"]) * self._arrays["image.scale"]
        linear = self._layer(standard, "image.linear")
        return self._joined(linear, linear, "image")

    def text(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the features of one text, (features,), into a vector of length 1, (dim,)."""
        # Scaled as if its components had variance 1, as in training.
        unit = features / np.linalg.norm(features)
        standard = (unit * np.sqrt(len(unit))).astype(np.float32)
        return self._joined(self._layer(standard, "text.linear"), standard, "text")

    def _layer(self, x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        out: NDArray[np.float32] = self._arrays[f"{name}.weight"] @ x + self._arrays[f"{name}.bias"]
        return out

    def _joined(
        self, linear: NDArray[np.float32], hidden_input: NDArray[np.float32], side: str
    ) -> NDArray[np.float32]:
        hidden = np.maximum(self._layer(hidden_input, f"{side}.hidden"), 0)
        joined = linear + self._layer(hidden, f"{side}.output")
        unit: NDArray[np.float32] = joined / np.linalg.norm(joined)
        return unit


class TinyModel:
    """Embeds pictures and texts in one space; load it with :meth:`load`."""

    def __init__(
        self, images: ImageBackbone, texts: TextBackbone, heads: Heads, threads: int
    ) -> None:
        """Join backbones and heads; :meth:`load` does it with the installed files."""
        self._images = images
        self._texts = texts
        self._heads = heads
        self._threads = threads

    @classmethod
    def load(cls, threads: int | None = None) -> TinyModel:
        """Load backbones and heads; nothing is downloaded.

        Args:
            threads: Pictures that are embedded at the same time; one per core by default.

        Raises:
            ModuleNotFoundError: A package is missing; the message says how to install it.
        """
        cores = threads or os.cpu_count() or 1
        return cls(ImageBackbone(), TextBackbone(), Heads.load(WEIGHTS), cores)

    @property
    def model_id(self) -> str:
        """Name and version of the weights."""
        return MODEL_ID

    @property
    def dim(self) -> int:
        """Dimension of the embeddings."""
        return self._heads.dim

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256, in hex, of the files of the heads and the backbones, in this order."""
        digest = hashlib.sha256()
        for file in (WEIGHTS, *self._images.files, *self._texts.files):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed pictures.

        Args:
            images: uint8 RGB, (height, width, 3) each, at least 1 x 1.

        Returns:
            float32, (n, dim), rows of length 1; each depends on its own picture only.

        Raises:
            ValueError: An array is not a colour picture.
        """
        checked = [_checked(image) for image in images]
        if not checked:
            return np.empty((0, self.dim), dtype=np.float32)
        with _one_thread_each(), ThreadPoolExecutor(self._threads) as pool:
            return np.stack(list(pool.map(self._embed_image, checked)))

    def _embed_image(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._heads.image(self._images.features(image))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, truncated to 128 tokens.

        Args:
            texts: English works best; a text may be empty.

        Returns:
            float32, (n, dim), rows of length 1; each depends on its own text only.
        """
        with _one_thread_each():
            embedded = [self._heads.text(self._texts.features(text)) for text in texts]
        return np.stack(embedded) if embedded else np.empty((0, self.dim), dtype=np.float32)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let torch use one thread per picture: the layers are too small to be worth splitting.

    Two threads that wait for each other at every layer cost nine times the CPU time of one, as
    measured on a busy machine with two cores. Threads started inside the block inherit the setting.
    """
    torch = require("torch", "torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"a picture must be uint8 of shape (height, width, 3), not {image.dtype} {image.shape}"
        )
    return image
