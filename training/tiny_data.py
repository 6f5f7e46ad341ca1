"""Pictures, captions, split and augmented views for training the tiny embedder.

The split is by group: the two sizes of one Flickr8k photograph (equal caption sets), rows with
the same key, and pictures of one source with nearly equal features are always in the same part.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

AERIAL = ("aid", "rsscn7", "ombria")
NEAR_DUPLICATE = 0.93


@dataclass(frozen=True)
class Picture:
    """One picture of the collection, with its caption in `pairs.csv` and all its captions."""

    key: str
    file: str
    source: str
    label: str
    is_satellite: bool
    caption: str
    captions: tuple[str, ...]


def read_pictures(miniweb: Path) -> list[Picture]:
    """Read `pairs.csv` and `flickr8k_captions.csv`, one entry per key, sorted by key."""
    captions: dict[str, list[str]] = defaultdict(list)
    for name in ("flickr8k_captions.csv", "pairs.csv"):
        with (miniweb / name).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                text = row["caption"].strip()
                if text and text not in captions[row["key"]]:
                    captions[row["key"]].append(text)
    pictures: dict[str, Picture] = {}
    with (miniweb / "pairs.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            pictures[row["key"]] = Picture(
                key=row["key"],
                file=row["file"],
                source=row["source"],
                label=row["label"],
                is_satellite=row["is_satellite"] == "1",
                caption=row["caption"].strip(),
                captions=tuple(captions[row["key"]]),
            )
    return [pictures[key] for key in sorted(pictures)]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture as (height, width, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def group_keys(pictures: list[Picture], features: NDArray[np.float32]) -> list[str]:
    """Give every picture the key of its group.

    Args:
        pictures: the pictures.
        features: (n, d) raw features of the unaltered pictures, in the same order.

    Returns:
        One group key for each picture.
    """
    parent = list(range(len(pictures)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(first: int, second: int) -> None:
        a, b = sorted((root(first), root(second)))
        parent[b] = a

    photos: dict[tuple[str, ...], int] = {}
    for index, picture in enumerate(pictures):
        if picture.source.startswith("flickr8k"):
            join(index, photos.setdefault(tuple(sorted(picture.captions)), index))
    centred = features - features.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    similar = centred @ centred.T
    for a, b in np.argwhere(np.triu(similar, 1) > NEAR_DUPLICATE):
        join(int(a), int(b))
    return [pictures[root(index)].key for index in range(len(pictures))]


def split_of(group: str) -> str:
    """Return "test" (15 %), "validation" (10 %) or "train", by the hash of the group's key."""
    share = int(hashlib.sha256(f"tiny split {group}".encode()).hexdigest()[:8], 16) / 2**32
    if share < 0.15:
        return "test"
    return "validation" if share < 0.25 else "train"


def altered(picture: Picture, image: NDArray[np.uint8], view: int) -> NDArray[np.uint8]:
    """Return an augmented copy of a picture, always the same for the same key and view.

    View 0 is the picture itself; odd views are crops with mild colour changes; even views are
    coarse, with strong colour changes, so that neither blur nor unusual colours distinguish
    satellite pictures from photographs, and fine aerial pictures resemble those of 10 m.

    Args:
        picture: the picture's metadata.
        image: (height, width, 3) uint8.
        view: 0 or more.

    Returns:
        (height', width', 3) uint8.
    """
    if view == 0:
        return image
    seed = int(hashlib.sha256(f"{picture.key} {view}".encode()).hexdigest()[:16], 16)
    rng = np.random.default_rng(seed)
    coarse = view % 2 == 0
    result = _cropped(image, rng, lowest=0.3 if coarse else 0.5)
    if rng.random() < 0.5:
        result = result[:, ::-1]
    if picture.is_satellite:
        result = np.rot90(result, int(rng.integers(4)))
    if coarse:
        result = _coarsened(result, rng)
    return _recoloured(result, rng, strength=0.45 if coarse else 0.2)


def _cropped(
    image: NDArray[np.uint8], rng: np.random.Generator, lowest: float
) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    side = np.sqrt(rng.uniform(lowest, 1.0))
    new_height, new_width = max(1, round(height * side)), max(1, round(width * side))
    top = int(rng.integers(height - new_height + 1))
    left = int(rng.integers(width - new_width + 1))
    return image[top : top + new_height, left : left + new_width]


def _coarsened(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    shorter = float(np.exp(rng.uniform(np.log(32), np.log(128))))
    scale = min(1.0, shorter / min(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    pil = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(pil.resize(size, Image.Resampling.BICUBIC))


def _recoloured(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float
) -> NDArray[np.uint8]:
    pil = Image.fromarray(np.ascontiguousarray(image))
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        pil = enhancer(pil).enhance(float(rng.uniform(1 - strength, 1 + strength)))
    gains = rng.uniform(1 - strength / 2, 1 + strength / 2, size=3)
    return np.clip(np.asarray(pil, dtype=np.float64) * gains, 0, 255).astype(np.uint8)


def read_anchors(folder: Path) -> tuple[list[str], list[NDArray[np.uint8]]]:
    """Read the cloud-free anchors as 8-bit colour pictures, as the paper normalises them.

    Returns:
        Their names, and for each a (height, width, 3) uint8 picture.
    """
    import rasterio

    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["cloud_free_visual"] in ("yes", "mostly")]
    images = []
    for row in rows:
        with rasterio.open(folder / row["file"]) as source:
            pixels = source.read().transpose(1, 2, 0).astype(np.float64) / 10_000
        if pixels.mean() < 0.25:
            pixels *= min(0.5 / max(pixels.mean(), 1e-12), 8.0)
        images.append((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    return [row["file"] for row in rows], images


SATELLITE_PROMPTS = (
    "a satellite image",
    "satellite image",
    "a satellite photo",
    "satellite imagery",
    "an aerial photo",
    "aerial view",
    "aerial imagery",
    "a picture of the ground seen from above",
    "seen from space",
    "earth from space",
    "google earth",
    "google maps satellite view",
    "remote sensing image",
    "a Sentinel-2 image",
    "a Landsat scene",
    "an overhead image of land",
    "bird's-eye view of the landscape",
    "orthophoto",
)
SATELLITE_TEMPLATES = (
    "a satellite image of a {}",
    "satellite photo showing {}",
    "aerial photo of a {}",
    "aerial view of a {}",
    "a {} seen from above",
    "a {} from space",
    "google earth {}",
    "satellite imagery, {}",
    "an overhead picture of a {}",
)
STAMP_PROMPTS = ("clip art", "a clip art picture", "a drawing", "an icon", "a cartoon stamp")
STAMP_TEMPLATES = ("clip art of {}", "a drawing of {}", "{}")
PHOTO_PROMPTS = ("a photograph", "a photo taken on the ground", "a snapshot of people", "a photo")
PHOTO_TEMPLATES = ("a photo of a {}", "{}", "a picture of a {}")
MEANINGLESS = ("img_", "untitled", "download", "figure ")


def describing_texts(picture: Picture) -> list[str]:
    """Return texts that describe one picture: its captions, and prompts made from its label."""
    label = picture.label.replace("sentinel-2 false colour", "flooded farmland")
    texts = [c for c in picture.captions if not c.lower().startswith(MEANINGLESS)]
    if picture.is_satellite:
        texts = [template.format(label) for template in SATELLITE_TEMPLATES]
    elif picture.source == "imagenet":
        texts = [template.format(label) for template in PHOTO_TEMPLATES]
    elif picture.source == "tuxpaint":
        texts = [t.format(c.rstrip(".")) for c in texts for t in STAMP_TEMPLATES]
    return texts


def domain_prompts(picture: Picture) -> tuple[str, ...]:
    """Return the prompts that name only the kind of a picture."""
    if picture.is_satellite:
        return SATELLITE_PROMPTS
    return STAMP_PROMPTS if picture.source == "tuxpaint" else PHOTO_PROMPTS
