"""Measure the tiny embedder: print a table, and as the last line one JSON object.

    python training/evaluate_tiny.py --miniweb DIR --anchors DIR [--weights FILE] [--cache DIR]

Photographs and captions: recall of each photograph's caption (that of `pairs.csv`) among the
captions of the first 582 test photographs by group key, and the other way round. Satellite
pictures: average precision of ranking them before all other pictures, for all sources together and
for each source.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiny_data
import tiny_features
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]
from tiny_data import Picture

from laion_eo.builtin.embedders.tiny.model import WEIGHTS, Heads

Floats = NDArray[np.float32]
POOL = 582
PROMPTS = (
    "a satellite image",
    "aerial view",
    "google earth",
    "a picture taken by a satellite",
    "a satellite picture of a city",
)
DOG = ("dog", "dogs", "puppy", "hound", "terrier", "retriever")
CHILD = ("child", "children", "kid", "kids", "boy", "boys", "girl", "girls")


@dataclass(frozen=True)
class Scene:
    """Some pictures with their embeddings, those of the anchors, and a way to embed texts."""

    pictures: list[Picture]
    groups: list[str]
    images: Floats
    anchors: Floats
    texts: dict[str, Floats]


def precision(scene: Scene, scores: Floats) -> dict[str, float]:
    """Return the average precision of finding satellite pictures, over all and per source."""
    truth = np.array([picture.is_satellite for picture in scene.pictures])
    sources = np.array([picture.source for picture in scene.pictures])
    result = {"all": float(average_precision_score(truth, scores))}
    for source in tiny_data.AERIAL:
        kept = (sources == source) | ~truth
        if truth[kept].any():
            result[source] = float(average_precision_score(truth[kept], scores[kept]))
    return result


def recalls(scene: Scene) -> dict[str, float]:
    """Return recall at 1 and 10, from pictures to captions and from captions to pictures."""
    photos: dict[str, int] = {}
    for index, (picture, group) in enumerate(zip(scene.pictures, scene.groups, strict=True)):
        if picture.source.startswith("flickr8k"):
            photos.setdefault(group, index)
    pool = [photos[group] for group in sorted(photos)][:POOL]
    texts = np.stack([scene.texts[scene.pictures[i].caption] for i in pool])
    similar = scene.images[pool] @ texts.T
    result = {"photos": float(len(pool))}
    for name, table in (("image_to_text", similar), ("text_to_image", similar.T)):
        before = (table > np.diag(table)[:, None]).sum(1)
        for count in (1, 10):
            result[f"{name}@{count}"] = float((before < count).mean())
    return result


def words(picture: Picture) -> set[str]:
    """Return the words of the captions and the label, in lower case."""
    return set(" ".join((*picture.captions, picture.label)).lower().replace(".", " ").split())


def probes(scene: Scene) -> dict[str, float]:
    """Return the precision at 20 of some queries.

    Where fewer than 20 pictures are right, it is the precision at their number.
    """
    described = [words(picture) for picture in scene.pictures]
    satellite = [picture.is_satellite for picture in scene.pictures]
    right = {
        "a photo of a dog": [bool(w.intersection(DOG)) for w in described],
        "children playing": [bool(w.intersection(CHILD)) for w in described],
        "clip art": [picture.source == "tuxpaint" for picture in scene.pictures],
    }
    for query, word in (
        ("a river seen from above", "river"),
        ("aerial photo of a beach", "beach"),
        ("a forest from space", "forest"),
        ("google earth parking", "parking"),
    ):
        right[query] = [
            s and word in p.label for s, p in zip(satellite, scene.pictures, strict=True)
        ]
    result = {}
    for query, truth in right.items():
        first = min(20, sum(truth))
        ranked = np.argsort(-(scene.images @ scene.texts[query]))[:first]
        result[query] = float(np.mean(np.array(truth)[ranked])) if first else float("nan")
    return result


QUERIES = (
    "a photo of a dog",
    "children playing",
    "clip art",
    "a river seen from above",
    "aerial photo of a beach",
    "a forest from space",
    "google earth parking",
)


def measure(scene: Scene) -> dict[str, dict[str, float]]:
    """Return all figures of a scene."""
    figures = {"recall": recalls(scene), "probes": probes(scene)}
    for prompt in PROMPTS:
        figures[f"prompt: {prompt}"] = precision(scene, scene.images @ scene.texts[prompt])
    figures["anchors"] = precision(scene, (scene.images @ scene.anchors.T).max(1))
    return figures


def unit(features: Floats, mean: Floats) -> Floats:
    """Centre and normalise rows."""
    centred = features - mean
    result: Floats = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return result


def scenes(arguments: argparse.Namespace, folder: Path) -> dict[str, Scene]:
    """Embed everything, and return the scenes by their names."""
    heads = Heads.load(arguments.weights)
    pictures = tiny_data.read_pictures(arguments.miniweb)
    features = tiny_features.image_features(pictures, arguments.miniweb, 0, folder)
    anchors = tiny_features.anchor_features(arguments.anchors)
    groups = tiny_data.group_keys(pictures, features)
    wanted = {p.caption for p in pictures} | set(PROMPTS) | set(QUERIES)
    known = tiny_features.text_features(wanted, folder)
    texts = {text: heads.text(known[text]) for text in wanted}
    images = np.stack([heads.image(row) for row in features])
    embedded = np.stack([heads.image(row) for row in anchors])
    mean = features.mean(0)

    def scene(parts: tuple[str, ...], raw: bool = False) -> Scene:
        rows = [i for i, group in enumerate(groups) if tiny_data.split_of(group) in parts]
        return Scene(
            pictures=[pictures[i] for i in rows],
            groups=[groups[i] for i in rows],
            images=unit(features, mean)[rows] if raw else images[rows],
            anchors=unit(anchors, mean) if raw else embedded,
            texts=texts,
        )

    everything = ("train", "validation", "test")
    return {
        "test": scene(("test",)),
        "validation": scene(("validation",)),
        "all": scene(everything),
        "test, backbone alone": scene(("test",), raw=True),
        "all, backbone alone": scene(everything, raw=True),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miniweb", type=Path, required=True)
    parser.add_argument("--anchors", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--cache", type=Path, help="folder in which features are cached")
    arguments = parser.parse_args()
    result: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, scene in scenes(arguments, arguments.cache or Path(scratch)).items():
            if "alone" in name:
                scores = (scene.images @ scene.anchors.T).max(1)
                result[name] = {"anchors": precision(scene, scores)}
            else:
                result[name] = measure(scene)
    for name, figures in result.items():
        for what, values in figures.items():
            shown = ", ".join(f"{key} {value:.3f}" for key, value in values.items())
            print(f"| {name} | {what} | {shown} |")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
