"""Embedder ``open-clip``: any model of open_clip; the paper's ViT-L-14 by default."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from laion_eo.builtin.torchvision_mend import ensure_torchvision
from laion_eo.component import ComponentConfig
from laion_eo.errors import ConfigError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import Embedder
from laion_eo.types import JSON, Embeddings, Picture

logger = logging.getLogger("laion_eo")


class OpenClip(Embedder):
    """CLIP (section 2 of the paper)."""

    name = "open-clip"
    summary = "any model of open_clip; ViT-L-14 of OpenAI, as in the paper, by default"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            model: open_clip's name. OpenAI's weights need the names that end in ``-quickgelu``.
            pretrained: open_clip's tag of weights, or a local checkpoint (a state dict).
            device: ``auto`` takes a GPU where there is one.
            dtype: ``auto`` is float16 on a GPU and float32 elsewhere.
            batch_size: Images at a time.
        """

        model: str = "ViT-L-14-quickgelu"
        pretrained: str = "openai"
        device: str = "auto"
        dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
        batch_size: int = Field(default=32, ge=1)

    config: Config

    @property
    def model_id(self) -> str:
        """``open_clip:MODEL/PRETRAINED``, a local checkpoint by its file name."""
        return f"open_clip:{self.config.model}/{Path(self.config.pretrained).name}"

    @property
    def dim(self) -> int:
        """Length of the embeddings: 768 for ViT-L-14."""
        return self._dim

    def identity(self) -> JSON:
        """Return the time and size of a local checkpoint."""
        checkpoint = Path(self.config.pretrained)
        return files_identity([checkpoint]) if checkpoint.is_file() else None

    def setup(self) -> None:
        """Load the model.

        Raises:
            ConfigError: open_clip is not installed, or model or weights cannot be had.
        """
        try:
            import torch

            ensure_torchvision()
            import open_clip
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"open-clip needs {error.name}: pip install 'laion-eo[clip]'."
            ) from None
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = found if self.config.device == "auto" else self.config.device
        automatic = "float16" if self._device.startswith("cuda") else "float32"
        self._dtype = automatic if self.config.dtype == "auto" else self.config.dtype
        try:
            self._model, _, self._prepare = open_clip.create_model_and_transforms(
                self.config.model, pretrained=self.config.pretrained, device=self._device
            )
        except (RuntimeError, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"open-clip: {self.config.model!r} with weights {self.config.pretrained!r} cannot "
                f"be loaded: {reason} Name a local checkpoint with embedder.pretrained."
            ) from None
        self._model.eval().to(getattr(torch, self._dtype))
        self._tokenizer = open_clip.get_tokenizer(self.config.model)
        self._dim = int(self.embed_texts([""]).shape[1])
        logger.info("%s on %s, %s", self.model_id, self._device, self._dtype)

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n uint8 RGB pictures: float32, (n, dim)."""
        import torch

        parts = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(images), self.config.batch_size):
            batch = images[start : start + self.config.batch_size]
            inputs = torch.stack([self._prepare(Image.fromarray(image)) for image in batch])
            inputs = inputs.to(self._device, getattr(torch, self._dtype))
            with torch.inference_mode():
                parts.append(_unit(self._model.encode_image(inputs)))
        return np.concatenate(parts)

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n texts, cut at the model's 77 tokens: float32, (n, dim)."""
        import torch

        parts = [] if texts else [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), self.config.batch_size):
            tokens = self._tokenizer(list(texts[start : start + self.config.batch_size]))
            with torch.inference_mode():
                parts.append(_unit(self._model.encode_text(tokens.to(self._device))))
        return np.concatenate(parts)

    def facts(self) -> dict[str, JSON]:
        """Return model, weights' hash, device and dtype."""
        return {
            "model_id": self.model_id,
            "weights_sha256": _state_sha256(self._model),
            "device": self._device,
            "dtype": self._dtype,
        }


def _unit(features: Any) -> Embeddings:
    features = features.float()
    unit = features / features.norm(dim=-1, keepdim=True)
    array: Embeddings = unit.cpu().numpy()
    return array


def _state_sha256(model: Any) -> str:
    """Hash the weights themselves: the same whatever file they came in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()
