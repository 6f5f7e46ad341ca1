"""Embedder ``open-clip``: any model of open_clip; the paper's ViT-L-14 by default."""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from laion_eo.builtin.torch_models import (
    brief,
    hub_folder,
    hub_is_offline,
    pick_device,
    state_sha256,
)
from laion_eo.builtin.torchvision_mend import ensure_torchvision
from laion_eo.component import ComponentConfig, require_packages
from laion_eo.config import NameOrRunPath
from laion_eo.errors import ConfigError, did_you_mean
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import Embedder
from laion_eo.types import JSON, Embeddings, Picture

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("laion_eo")

PACKAGES = ("torch", "torchvision", "open_clip", "safetensors")
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
LONGEST_STRIP = 16
"""Largest ratio of a picture's sides. Models resize by the short side, so that a picture of 1 by
50,000 pixels would grow beyond memory."""

# What torch, safetensors and open_clip raise about a file that is not a checkpoint.
_UNREADABLE = (
    RuntimeError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    StopIteration,
    pickle.UnpicklingError,
)


class OpenClip(Embedder):
    """CLIP (section 2 of the paper)."""

    name = "open-clip"
    summary = "any model of open_clip; ViT-L-14 of OpenAI, as in the paper, by default"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            model: open_clip's name. OpenAI's weights need the names that end in ``-quickgelu``.
            pretrained: open_clip's tag of weights, such as ``openai``, fetched from the Hub once;
                or a local checkpoint, a state dict: ``weights/b32.safetensors`` starts at the run
                file's folder; one beside the run file is ``./b32.pt``. Pictures are prepared as the
                tag says; for a local checkpoint, as for OpenAI's weights.
            device: ``auto`` takes a GPU if there is one.
            dtype: ``auto`` is float16 on a GPU and float32 elsewhere.
            batch_size: Images that are embedded together.
        """

        model: str = "ViT-L-14-quickgelu"
        pretrained: NameOrRunPath = "openai"
        device: str = "auto"
        dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
        batch_size: int = Field(default=32, ge=1)

    config: Config

    @property
    def model_id(self) -> str:
        """``open_clip:MODEL/PRETRAINED``; of a local checkpoint, the file name."""
        return f"open_clip:{self.config.model}/{Path(self.config.pretrained).name}"

    @property
    def dim(self) -> int:
        """Dimension of the embeddings: 768 for ViT-L-14."""
        return self._dim

    def known_dim(self) -> int | None:
        """Return the length of the embeddings, as open_clip's file of the model has it."""
        config = self._files().get(self.config.model)
        return int(json.loads(config.read_text("utf-8"))["embed_dim"]) if config else None

    def _files(self) -> dict[str, Path]:
        """Return the file of each model that open_clip brings; torch is not imported for it."""
        found = find_spec("open_clip")
        folders = found.submodule_search_locations or () if found else ()
        files = (
            file for folder in folders for file in Path(folder, "model_configs").glob("*.json")
        )
        return {file.stem: file for file in files}

    def check(self) -> None:
        """Raise for packages, model and weights that are known to be missing.

        Raises:
            ConfigError: A package of the extra ``clip``; open_clip has no such model; the local
                checkpoint is not there; or the Hub is switched off (``HF_HUB_OFFLINE``) and its
                cache does not have the weights.
        """
        require_packages(self.name, PACKAGES, "laion-eo[clip]")
        files = self._files()
        # Who has imported open_clip may have told it of further models.
        if self.config.model not in files and "open_clip" not in sys.modules:
            raise self._error(
                f"open_clip has no such model.{did_you_mean(self.config.model, files)}"
            )
        checkpoint = Path(self.config.pretrained)
        if checkpoint.is_absolute() and not checkpoint.is_file():
            raise self._error("there is no such file of weights.")
        if hub_is_offline() and not checkpoint.is_file():
            ensure_torchvision()
            import open_clip

            self._checkpoint(open_clip)

    def identity(self) -> JSON:
        """Return a hash of a local checkpoint's name, size and modification time."""
        checkpoint = Path(self.config.pretrained)
        return files_identity([checkpoint]) if checkpoint.is_file() else None

    def setup(self) -> None:
        """Load the model.

        Raises:
            ConfigError: open_clip is not installed; model, weights or device are unavailable; or
                the weights were trained with another activation than the model has.
        """
        try:
            import torch

            ensure_torchvision()
            import open_clip
            from safetensors import SafetensorError
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"open-clip needs {error.name}: pip install 'laion-eo[clip]'."
            ) from None
        self._device = pick_device(self.config.device, self.name)
        automatic = "float16" if self._device.startswith("cuda") else "float32"
        self._dtype = automatic if self.config.dtype == "auto" else self.config.dtype
        checkpoint, preprocessing = self._checkpoint(open_clip)
        try:
            with _quietly():
                model, _, self._prepare = open_clip.create_model_and_transforms(
                    self.config.model, pretrained=str(checkpoint), **preprocessing
                )
                self._tokenizer = open_clip.get_tokenizer(self.config.model)
        except (*_UNREADABLE, SafetensorError) as error:
            raise self._error(f"{checkpoint.name} cannot be loaded: {brief(error)}") from None
        self._sha256 = state_sha256(model)
        self._model = model.eval().to(self._device, getattr(torch, self._dtype))
        self._dim = int(self.embed_texts([""]).shape[1])
        logger.info("%s on %s, %s", self.model_id, self._device, self._dtype)

    def _checkpoint(self, open_clip: Any) -> tuple[Path, dict[str, Any]]:
        """Return the file of the weights, and options for how pictures are prepared for them."""
        model, pretrained = self.config.model, self.config.pretrained
        models = open_clip.list_models()
        if model not in models:
            raise self._error(f"open_clip has no such model.{did_you_mean(model, models)}")
        tag = open_clip.get_pretrained_cfg(model, pretrained)
        if not tag:
            if Path(pretrained).is_file():
                return Path(pretrained), {}
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
            what = "file" if Path(pretrained).is_absolute() else "file or tag"
            raise self._error(f"there is no such {what} of weights; its tags: {tags}.")
        if tag.get("quick_gelu") and not open_clip.get_model_config(model).get("quick_gelu"):
            raise self._error(
                f'these weights need QuickGELU: embedder.model = "{model}-quickgelu".'
            )
        keys = ("mean", "std", "interpolation", "resize_mode")
        return self._from_hub(tag["hf_hub"]), {f"image_{k}": tag[k] for k in keys if k in tag}

    def _from_hub(self, address: str) -> Path:
        """Return a tag's file; open_clip's ``address`` is ``organization/name/[file]``."""
        repo, _, named = address.rpartition("/")
        try:
            for file in (named,) if named else HUB_FILES:
                found = hub_folder(repo, [file]) / file
                if found.is_file():
                    return found
        except ConfigError as error:
            raise self._error(str(error)) from None
        raise self._error(f"{repo} on the Hub has none of {', '.join(HUB_FILES)}.")

    def _error(self, reason: str) -> ConfigError:
        return ConfigError(
            f"open-clip: {self.config.model!r} with weights {self.config.pretrained!r}: {reason} "
            "embedder.pretrained takes a tag of open_clip or a local state dict."
        )

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n uint8 RGB pictures: float32, (n, dim).

        Of a picture more than 16 times as long as wide, only the middle is embedded.
        """
        import torch

        parts = [np.zeros((0, self.dim), np.float32)]
        for batch in self._prepared(images):
            inputs = batch.to(self._device, getattr(torch, self._dtype))
            with torch.inference_mode():
                parts.append(_unit(self._model.encode_image(inputs)))
        return np.concatenate(parts)

    def _prepared(self, images: Sequence[Picture]) -> Iterator[torch.Tensor]:
        """Yield prepared batches; threads prepare the next one while the model runs on this one."""
        import torch

        size = self.config.batch_size
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            batches = (
                pool.map(self._prepare_one, images[start : start + size])
                for start in range(0, len(images), size)
            )
            ahead = next(batches, None)
            while ahead is not None:
                now, ahead = ahead, next(batches, None)
                yield torch.stack(list(now))

    def _prepare_one(self, image: Picture) -> torch.Tensor:
        prepared: torch.Tensor = self._prepare(Image.fromarray(middle_of_strip(image)))
        return prepared

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n texts, truncated to the model's 77 tokens: float32, (n, dim)."""
        import torch

        parts = [] if texts else [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), self.config.batch_size):
            tokens = self._tokenizer(list(texts[start : start + self.config.batch_size]))
            with torch.inference_mode():
                parts.append(_unit(self._model.encode_text(tokens.to(self._device))))
        return np.concatenate(parts)

    def facts(self) -> dict[str, JSON]:
        """Return the model, the hash of its weights (as float32), preparation, device and dtype."""
        return {
            "model_id": self.model_id,
            "weights_sha256": self._sha256,
            "preprocessing": dict(self._model.visual.preprocess_cfg),
            "device": self._device,
            "dtype": self._dtype,
        }


def middle_of_strip(image: Picture) -> Picture:
    """Return a picture, or the middle of one more than :data:`LONGEST_STRIP` times as long as wide.

    Args:
        image: uint8, (height, width, 3).
    """
    height, width = image.shape[:2]
    rows, columns = min(height, LONGEST_STRIP * width), min(width, LONGEST_STRIP * height)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def _unit(features: torch.Tensor) -> Embeddings:
    features = features.float()
    unit: Embeddings = (features / features.norm(dim=-1, keepdim=True)).cpu().numpy()
    return unit


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep open_clip from configuring the root logger, which would double every later log line."""
    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addHandler(placeholder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(placeholder)
