"""The pools of ``quality.py``: labelled pictures that ``tiny`` never saw, in wanted shares."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.pools import index
from laion_eo.registry import Registry

HELD_OUT = Path(__file__).resolve().parents[1] / "training" / "held_out.csv"
LEAST_SIDE = 128
"""Pixels: smaller pictures are left out, as a rule of size would drop them, whatever they show."""
LEFT_OUT = "planet"
"""A kind of ``hardset`` that is ambiguous."""
OTHERS = 1160
"""Pictures of other things in each pool, of those that are not hard: with 498 satellite images,
they are 30 %."""
PLAIN, HARD, NEW = "plain", "hard", "new"
KINDS = {
    PLAIN: "",
    HARD: ", hard negatives in",
    NEW: ", hard negatives in, new sources alone",
}
"""The pools: of miniweb; with ``hardset``; with its satellite images and no others."""
SETS = ("miniweb", "hardset")
SHARES = (0.30, 0.05, 0.01)

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Shown:
    """One picture, and what is true of it."""

    file: Path
    key: str
    source: str
    kind: str
    label: str
    is_satellite: bool
    caption: str
    width: int
    height: int

    @property
    def group(self) -> str:
        """What it is reported under: satellite images and easy others by source, or its kind."""
        return self.source if self.is_satellite or not self.kind else self.kind


@dataclass(frozen=True)
class Collection:
    """Labelled pictures with their vectors: float16, (n, dim), of length 1."""

    shown: list[Shown]
    vectors: NDArray[np.float16]

    @classmethod
    def load(cls, folder: Path, pool: Path) -> Collection:
        """Read an indexed folder that has ``pairs.csv``."""
        with (folder / "pairs.csv").open(newline="", encoding="utf-8") as stream:
            listed = {row["file"]: row for row in csv.DictReader(stream)}
        parts = sorted((pool / "metadata").glob("*.parquet"), key=_number)
        paths = [path for part in parts for path in pq.read_table(part)["image_path"].to_pylist()]
        shards = sorted((pool / "img_emb").glob("*.npy"), key=_number)
        vectors = np.concatenate([np.load(shard) for shard in shards]).astype(np.float16)
        return cls([_shown(folder, listed[path]) for path in paths], vectors)

    def some(self, places: Sequence[int]) -> Collection:
        """Return some of the pictures."""
        return Collection([self.shown[place] for place in places], self.vectors[list(places)])

    def joined(self, other: Collection) -> Collection:
        """Return both, this one first."""
        vectors = np.concatenate([self.vectors, other.vectors])
        return Collection([*self.shown, *other.shown], vectors)

    @property
    def truth(self) -> Mask:
        """bool, (n,): the satellite images."""
        return np.array([shown.is_satellite for shown in self.shown])


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _shown(folder: Path, row: Mapping[str, str]) -> Shown:
    return Shown(
        file=(folder / row["file"]).resolve(),
        key=row["key"],
        source=row["source"],
        kind=row.get("kind", ""),
        label=row["label"],
        is_satellite=row["is_satellite"] == "1",
        caption=row["caption"].strip(),
        width=int(row["width"]),
        height=int(row["height"]),
    )


def embed(shared: Path, cache: Path, registry: Registry) -> None:
    """Embed each picture of miniweb and hardset once, into the cache."""
    for name in SETS:
        # What is there already is found complete, and costs nothing.
        index(shared / name, cache / name, {"use": "tiny"}, registry=registry)


def load(shared: Path, cache: Path) -> tuple[Collection, Collection]:
    """Return all of miniweb, and all of hardset, which are embedded."""
    miniweb, hardset = (Collection.load(shared / name, cache / name) for name in SETS)
    return miniweb, hardset


def unseen(miniweb: Collection, hardset: Collection) -> Collection:
    """Return what ``tiny`` was not trained on: one picture of each group, then ``hardset``."""
    with HELD_OUT.open(newline="", encoding="utf-8") as stream:
        groups = {row["key"]: row["group"] for row in csv.DictReader(stream)}
    seen, places = set[str](), list[int]()
    for place in sorted(range(len(miniweb.shown)), key=lambda one: miniweb.shown[one].key):
        shown = miniweb.shown[place]
        group = groups.get(shown.key)
        if group is not None and group not in seen and _is_large(shown):
            seen.add(group)
            places.append(place)
    hard = [
        place
        for place, shown in enumerate(hardset.shown)
        if shown.kind != LEFT_OUT and _is_large(shown)
    ]
    return miniweb.some(places).joined(hardset.some(hard))


def _is_large(shown: Shown) -> bool:
    return min(shown.width, shown.height) >= LEAST_SIDE


def draw(world: Collection, kind: str, share: float, seed: int) -> Ids:
    """Draw a pool: places in ``world``, in a random order.

    Args:
        world: All pictures; those with a kind are of ``hardset``.
        kind: One of :data:`KINDS`.
        share: Of satellite images. Where there are not enough, there are fewer of the others, but
            only in the pools of new sources.
        seed: Of the draw.
    """
    truth = world.truth
    is_hard = np.array([bool(shown.kind) for shown in world.shown])
    rng = np.random.default_rng(seed)
    others = rng.choice(np.flatnonzero(~truth & ~is_hard), OTHERS, replace=False)
    if kind != PLAIN:
        others = np.concatenate([others, np.flatnonzero(~truth & is_hard)])
    eligible = {PLAIN: ~is_hard, HARD: np.ones_like(is_hard), NEW: is_hard}[kind]
    satellites = np.flatnonzero(truth & eligible)
    wanted = min(math.ceil(share / (1 - share) * len(others)), len(satellites))
    if kind == NEW:
        fitting = round(wanted * (1 - share) / share)
        others = rng.permutation(others)[:fitting]
    chosen = rng.choice(satellites, wanted, replace=False)
    return rng.permutation(np.concatenate([others, chosen]))


def write_pool(world: Collection, places: Iterable[int], folder: Path) -> None:
    """Write a pool in the layout of clip-retrieval; row ``i`` is the i-th of ``places``."""
    some = world.some(list(places))
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    np.save(folder / "img_emb" / "img_emb_0.npy", some.vectors)
    rows = {
        "image_path": [str(shown.file) for shown in some.shown],
        "caption": [shown.caption for shown in some.shown],
        "url": [shown.file.as_uri() for shown in some.shown],
    }
    pq.write_table(pa.table(rows), folder / "metadata" / "metadata_0.parquet")


def sha256_of(file: Path) -> str:
    """Return the hex SHA-256 of a picture's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
