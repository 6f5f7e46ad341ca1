"""Anchor source ``scenes``: labelled scene folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.config import Choice, RunPath
from laion_eo.errors import ConfigError, DataError, did_you_mean
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import AnchorSource, Embedder
from laion_eo.raster import read_anchor
from laion_eo.registry import Registry
from laion_eo.types import JSON, Anchor, Picture, SkippedAnchor
from laion_eo_scenes.diverse import k_centre
from laion_eo_scenes.layouts import LAYOUTS, Layout, class_name, find_scenes, recognise

THUMBNAIL = 8
EMBED_TOGETHER = 32
BRIGHT = 3_000.0
"""Digital number shown as white in the pictures that are compared to choose scenes."""


class SceneAnchors(AnchorSource):
    """The same number of scenes of each class, chosen so that they differ.

    Knows the layouts of EuroSAT (RGB and 13 bands), UC Merced, AID, RSSCN7 and RESISC45, and takes
    any other tree with one folder per class.
    """

    name = "scenes"
    summary = "labelled scene folders: balanced over classes, diverse in each"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            root: The folder; class folders may lie at any depth below it.
            classes: Classes in plain words, such as ``river``; all of them by default.
            per_class: Scenes of each class at most.
            pool_per_class: Scenes of each class to choose from, drawn by the seed.
            embedder: The model in whose space scenes differ, as in a run file's ``[embedder]``; by
                default their colours on a coarse grid.
            layout: Name of the layout; by default the one that is recognised.
            bands: 1-based numbers of red, green and blue; by default the layout's.
            gsd: Metres per pixel; by default the layout's.
        """

        root: RunPath
        classes: tuple[str, ...] = ()
        per_class: int = Field(default=10, ge=1)
        pool_per_class: int = Field(default=200, ge=1)
        embedder: Choice | None = None
        layout: str | None = None
        bands: tuple[int, int, int] | None = None
        gsd: float | None = Field(default=None, gt=0)

    config: Config

    @cached_property
    def _folders(self) -> dict[str, list[Path]]:
        """The scenes of each chosen class."""
        found = find_scenes(self.config.root)
        named = {class_name(folder): files for folder, files in found.items()}
        for wanted in self.config.classes:
            if wanted not in named:
                raise DataError(
                    f"{self.config.root}: no class {wanted!r}.{did_you_mean(wanted, named)} "
                    f"Classes: {', '.join(named)}."
                )
        return {name: named[name] for name in self.config.classes or named}

    @cached_property
    def _layout(self) -> Layout | None:
        name = self.config.layout or recognise(find_scenes(self.config.root))
        if name is not None and name not in LAYOUTS:
            raise ConfigError(
                f"anchors.layout: no layout {name!r}.{did_you_mean(name, LAYOUTS)} "
                f"Layouts: {', '.join(LAYOUTS)}."
            )
        return LAYOUTS[name] if name else None

    def identity(self) -> JSON:
        """Return the files' names, sizes and times."""
        return files_identity(path for files in self._folders.values() for path in files)

    def count(self) -> int:
        """Return the number of scenes that are chosen."""
        return sum(min(len(files), self.config.per_class) for files in self._folders.values())

    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield the chosen scenes, class by class; a damaged one is skipped and counted."""
        for files in self._folders.values():
            for path in self._choose(files):
                name = path.relative_to(self.config.root).as_posix()
                try:
                    yield self._read(path, name)
                except DataError as error:
                    yield SkippedAnchor(name, str(error))

    def _read(self, path: Path, name: str) -> Anchor:
        bands = self.config.bands or (self._layout.bands if self._layout else (1, 2, 3))
        anchor = read_anchor(path, name, bands)
        gsd = self.config.gsd or (self._layout.gsd if self._layout else None)
        return replace(anchor, gsd=gsd or anchor.gsd)

    def _choose(self, files: Sequence[Path]) -> list[Path]:
        """Return the scenes of one class: diverse ones, in the order of their names."""
        if len(files) <= self.config.per_class:
            return list(files)
        compared = max(self.config.pool_per_class, self.config.per_class)
        draw = np.random.default_rng(self.context.seed)
        drawn = sorted(draw.permutation(len(files))[:compared].tolist())
        readable = {files[index]: self._shown(files[index]) for index in drawn}
        pictures = {path: picture for path, picture in readable.items() if picture is not None}
        if len(pictures) < self.config.per_class:
            return [files[index] for index in drawn[: self.config.per_class]]
        paths = list(pictures)
        chosen = k_centre(self._describe(list(pictures.values())), self.config.per_class)
        return [paths[index] for index in chosen]

    def _shown(self, path: Path) -> Picture | None:
        """Return a scene as a picture to compare, or ``None`` if it is damaged."""
        try:
            pixels = self._read(path, path.name).pixels
        except DataError:
            return None
        if pixels is None:  # never of a scene, but an anchor may be a text
            return None
        if pixels.dtype != np.uint8:
            pixels = (np.clip(pixels / BRIGHT, 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))

    def _describe(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        if self._embedder is None:
            return np.stack([_colours(picture) for picture in pictures])
        parts = [
            self._embedder.embed_images(pictures[start : start + EMBED_TOGETHER])
            for start in range(0, len(pictures), EMBED_TOGETHER)
        ]
        return np.concatenate(parts)

    @cached_property
    def _embedder(self) -> Embedder | None:
        if self.config.embedder is None:
            return None
        table = self.config.embedder.model_dump()
        embedder = Registry.discover().build(Embedder, table, "anchors.embedder", self.context)
        embedder.setup()
        return embedder

    def close(self) -> None:
        """Close the embedder, if one was used."""
        if isinstance(embedder := self.__dict__.get("_embedder"), Embedder):
            embedder.close()


def _colours(picture: Picture) -> NDArray[np.float32]:
    """Return a scene's colours on a coarse grid: float32, (192,)."""
    small = Image.fromarray(picture).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    colours: NDArray[np.float32] = np.asarray(small, np.float32).ravel() / np.float32(255)
    return colours
