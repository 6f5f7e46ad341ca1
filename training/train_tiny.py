"""Train the heads of the tiny embedder on top of its frozen backbones.

    python training/train_tiny.py --miniweb DIR --anchors DIR --out FILE [--cache DIR]

The anchors are never trained on. Their folder is only checked, so that training and evaluation take
the same arguments.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiny_data
import tiny_features
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tiny_data import Picture
from torch import Tensor, nn
from torch.nn.functional import normalize

PIXEL_FEATURES = 1504  # per network: 1,280 of the last layer, twice 112 of a middle one


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of the committed weights, chosen on the validation split."""

    dim: int = 384
    hidden: int = 768
    views: tuple[int, ...] = (0, 1, 2)
    steps: int = 1000
    batch: int = 512
    rate: float = 1.5e-3
    decay: float = 0.05
    hidden_dropout: float = 0.6
    input_dropout: float = 0.4
    caption_temperature: float = 0.05
    kind_temperature: float = 0.1
    kind_weight: float = 0.3
    neighbour_weight: float = 0.3
    class_weight: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class Data:
    """The training split, as tensors; row i is picture i.

    Attributes:
        views: (views, n, d) features.
        texts: for each picture (m, 384) features of the texts that describe it; m may be 0.
        kinds: (n,) 0 satellite, 1 stamp, 2 photograph.
        meanings: (n,) equal numbers for pictures whose texts fit each other.
        prompts: for each kind (m, 384) features of texts that name only the kind.
        classes: (1000, 384) features of texts that name the classes of the image backbone.
        class_shares: (n, 1000) class probabilities of the image backbone.
    """

    views: Tensor
    texts: list[Tensor]
    kinds: Tensor
    meanings: Tensor
    prompts: list[Tensor]
    classes: Tensor
    class_shares: Tensor


class HeadsInTraining:
    """The two heads of `laion_eo.builtin.embedders.tiny.model.Heads`, with dropout."""

    def __init__(self, features: Tensor, settings: Settings) -> None:
        """Start the image side from the principal components of (n, d) features."""
        self.mean, self.scale = features.mean(0), 1 / (features.std(0) + 1e-3)
        standard = (features - self.mean) * self.scale
        _, strengths, components = torch.svd_lowrank(standard, settings.dim, niter=4)
        components = components / strengths.sqrt()
        start = components.T * (8 / (standard @ components).norm(dim=1).mean())
        self.principal = normalize(standard @ start.T, dim=1)
        self.layers = nn.ModuleDict(
            {
                "image_linear": nn.Linear(features.shape[1], settings.dim),
                "image_hidden": nn.Linear(settings.dim, settings.hidden),
                "image_output": nn.Linear(settings.hidden, settings.dim),
                "text_linear": nn.Linear(384, settings.dim),
                "text_hidden": nn.Linear(384, settings.hidden),
                "text_output": nn.Linear(settings.hidden, settings.dim),
                "input_dropout": nn.Dropout(settings.input_dropout),
                "hidden_dropout": nn.Dropout(settings.hidden_dropout),
            }
        )
        self.layers["image_linear"].weight.data.copy_(start)

    def image(self, features: Tensor) -> Tensor:
        """Embed (n, d) features of pictures."""
        standard = (features - self.mean) * self.scale
        linear = self.layers["image_linear"](self.layers["input_dropout"](standard))
        return self._joined(linear, linear, "image")

    def text(self, features: Tensor) -> Tensor:
        """Embed (n, 384) features of texts."""
        standard = normalize(features, dim=1) * 384**0.5
        standard = self.layers["input_dropout"](standard)
        return self._joined(self.layers["text_linear"](standard), standard, "text")

    def _joined(self, linear: Tensor, hidden_input: Tensor, side: str) -> Tensor:
        hidden = torch.relu(self.layers[f"{side}_hidden"](hidden_input))
        output = self.layers[f"{side}_output"](self.layers["hidden_dropout"](hidden))
        return normalize(linear + output, dim=1)

    def exported(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `Heads` loads: matrices as 8-bit rows, each with a scale."""
        arrays: dict[str, NDArray[np.generic]] = {
            "image.mean": self.mean.numpy(),
            "image.scale": self.scale.numpy(),
        }
        for name in ("linear", "hidden", "output"):
            for side in ("image", "text"):
                layer = self.layers[f"{side}_{name}"]
                weight = layer.weight.detach().numpy()
                scale = np.abs(weight).max(1) / 127
                arrays[f"{side}.{name}.weight"] = np.rint(weight / scale[:, None]).astype(np.int8)
                arrays[f"{side}.{name}.weight_scale"] = scale.astype(np.float32)
                arrays[f"{side}.{name}.bias"] = layer.bias.detach().numpy()
        return arrays


def spread_loss(similar: Tensor, fits: Tensor) -> Tensor:
    """Cross-entropy of each row's softmax against a uniform target over what fits (both (n, m))."""
    shares = fits / fits.sum(1, keepdim=True).clamp(min=1)
    return -(similar.log_softmax(1) * shares).sum(1).mean()


def both_ways(similar: Tensor, fits: Tensor) -> Tensor:
    """Return the mean of `spread_loss` over rows and over columns."""
    return (spread_loss(similar, fits) + spread_loss(similar.T, fits.T)) / 2


def batch_loss(
    heads: HeadsInTraining, data: Data, settings: Settings, rng: np.random.Generator
) -> Tensor:
    """Draw a batch and return its loss."""
    rows = torch.from_numpy(rng.choice(len(data.texts), settings.batch, replace=False))
    views = torch.from_numpy(rng.integers(len(data.views), size=len(rows)))
    images = heads.image(data.views[views, rows])
    kinds, meanings = data.kinds[rows], data.meanings[rows]

    captioned = torch.tensor([i for i, row in enumerate(rows.tolist()) if len(data.texts[row])])
    drawn = [data.texts[r][rng.integers(len(data.texts[r]))] for r in rows[captioned].tolist()]
    similar = images[captioned] @ heads.text(torch.stack(drawn)).T
    fits = (meanings[captioned][:, None] == meanings[captioned]).float()
    loss = both_ways(similar / settings.caption_temperature, fits)

    prompts = torch.cat([p[torch.from_numpy(rng.integers(len(p), size=6))] for p in data.prompts])
    fits = (torch.arange(len(data.prompts)).repeat_interleave(6)[:, None] == kinds).float()
    similar = heads.text(prompts) @ images.T / settings.kind_temperature
    loss = loss + 2 * settings.kind_weight * both_ways(similar, fits)

    itself = torch.eye(len(rows), dtype=torch.bool)
    among = (images @ images.T / settings.kind_temperature).masked_fill(itself, -1e4)
    satellite = kinds == 0
    fits = (satellite[:, None] & satellite & ~itself).float()[satellite]
    loss = loss + settings.kind_weight * spread_loss(among[satellite], fits)

    known = heads.principal[rows]
    before = (known @ known.T / settings.kind_temperature).masked_fill(itself, -1e4).softmax(1)
    loss = loss - settings.neighbour_weight * (before * among.log_softmax(1)).sum(1).mean()

    photos = kinds == 2
    believed = images[photos] @ heads.text(data.classes).T / settings.caption_temperature
    taught = (data.class_shares[rows[photos]] * believed.log_softmax(1)).sum(1).mean()
    return loss - settings.class_weight * taught


def train(data: Data, settings: Settings) -> HeadsInTraining:
    """Train the heads from scratch; the seed makes it reproducible."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    heads = HeadsInTraining(data.views[0], settings)
    optimiser = torch.optim.AdamW(
        heads.layers.parameters(), lr=settings.rate, weight_decay=settings.decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=settings.steps, pct_start=0.1
    )
    for step in range(settings.steps):
        loss = batch_loss(heads, data, settings, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    heads.layers.eval()
    return heads


def class_texts() -> list[str]:
    """Return "a photo of a …" for the 1,000 classes; their names are in a file of timm."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("training needs timm (for the names of the classes)")
    folder = Path(found.origin).parent / "data" / "_info"
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    names = dict(line.split("\t", 1) for line in lines)
    synsets = (folder / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    return [f"a photo of a {names[synset].split(',')[0]}" for synset in synsets]


def class_shares(features: NDArray[np.float32]) -> Tensor:
    """Return the (n, 1000) class probabilities of EfficientNet-Lite2 from (n, d) features."""
    from laion_eo.builtin.embedders.tiny.backbones import lite_file

    state = torch.load(lite_file(2), map_location="cpu", weights_only=True)
    start = 2 * PIXEL_FEATURES
    last = torch.from_numpy(features[:, start : start + 1280])
    return (last @ state["_fc.weight"].T + state["_fc.bias"]).softmax(1)


def meaning(picture: Picture, group: str) -> str:
    """Return a key that is equal for pictures whose texts fit each other."""
    if picture.is_satellite:
        return f"satellite {picture.label}"
    return f"photo {picture.label}" if picture.source == "imagenet" else group


def load_data(miniweb: Path, folder: Path, settings: Settings, leave_out: str | None) -> Data:
    """Read the training split and the features of its pictures and texts."""
    pictures = tiny_data.read_pictures(miniweb)
    plain = tiny_features.image_features(pictures, miniweb, 0, folder)
    groups = tiny_data.group_keys(pictures, plain)
    rows = [
        i
        for i, (picture, group) in enumerate(zip(pictures, groups, strict=True))
        if tiny_data.split_of(group) == "train" and picture.source != leave_out
    ]
    chosen = [pictures[i] for i in rows]
    views = [
        plain[rows] if v == 0 else tiny_features.image_features(chosen, miniweb, v, folder)
        for v in settings.views
    ]
    texts = [tiny_data.describing_texts(picture) for picture in chosen]
    kinds = (tiny_data.SATELLITE_PROMPTS, tiny_data.STAMP_PROMPTS, tiny_data.PHOTO_PROMPTS)
    everything = {t for some in (*texts, *kinds, class_texts()) for t in some}
    known = tiny_features.text_features(everything, folder)

    def stacked(some: list[str] | tuple[str, ...]) -> Tensor:
        return torch.from_numpy(np.array([known[t] for t in some], np.float32).reshape(-1, 384))

    meanings = [meaning(pictures[i], groups[i]) for i in rows]
    return Data(
        views=torch.from_numpy(np.stack(views)),
        texts=[stacked(some) for some in texts],
        kinds=torch.tensor([kinds.index(tiny_data.domain_prompts(p)) for p in chosen]),
        meanings=torch.from_numpy(np.unique(meanings, return_inverse=True)[1]),
        prompts=[stacked(some) for some in kinds],
        classes=stacked(class_texts()),
        class_shares=class_shares(plain[rows]),
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miniweb", type=Path, required=True)
    parser.add_argument("--anchors", type=Path, required=True, help="never trained on")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--cache", type=Path, help="folder in which features are cached")
    parser.add_argument("--leave-out", choices=tiny_data.AERIAL, help="train without a source")
    parser.add_argument("--steps", type=int, default=Settings.steps, help="%(default)s")
    arguments = parser.parse_args()
    if not (arguments.anchors / "manifest.csv").exists():
        parser.error("--anchors holds no manifest.csv")
    torch.set_num_threads(tiny_features.WORKERS)
    settings = Settings(steps=arguments.steps)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.cache or Path(scratch)
        data = load_data(arguments.miniweb, folder, settings, arguments.leave_out)
        heads = train(data, settings)
    save_file(heads.exported(), arguments.out)


if __name__ == "__main__":
    main()
