"""Stage ``embeddings``: embed each downloaded image once, for all scorers and every later run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from laion_eo.component import Component
from laion_eo.errors import RunError
from laion_eo.images import ImageError, decode_image
from laion_eo.kinds import AnchorSource, Augmenter, Embedder, Normalizer, Retriever
from laion_eo.kinds.contract import check_embeddings, check_model
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.anchors import BATCH, read_samples
from laion_eo.pipeline.stages.base import Rows, ShardedStage, row_ranges
from laion_eo.pipeline.stages.stored_images import is_named_by_content
from laion_eo.pipeline.vectors.earlier import earlier_parts, made_by, maker_of, parts_aside
from laion_eo.pipeline.vectors.stored import StoredVectors, to_bytes
from laion_eo.pipeline.vectors.views import embed_views, views_of
from laion_eo.pipeline.workbench import key_of
from laion_eo.schema import EMBEDDINGS
from laion_eo.types import Picture

DECODE_TOGETHER = 32
"""Images decoded and embedded at a time: the bound on memory."""
EMBEDDED, RUN, INDEX = "embedded", "run", "index"
POOL_DTYPE = "float16"
"""Of the vectors that ``laion-eo index`` writes."""
Vector = tuple[bytes, str]
"""A vector as it is stored, and its origin."""


class EmbeddingsStage(ShardedStage):
    """One row per distinct image and model: its vector, or why there is none.

    Vectors are known by the image's SHA-256 and what makes them, so another ``k``, prompt, scorer
    or threshold embeds only the images that are new. The models of scorers embed the anchors too.
    """

    name = "embeddings"
    needs = ("anchors", "candidates", "downloads")

    def components(self) -> Sequence[Component]:
        """Return the embedders; with those of scorers, what makes the pictures of the anchors."""
        embedders = self.workbench.embedders()
        if len(embedders) == 1:
            return embedders
        kinds = (AnchorSource, Normalizer, Augmenter)
        return [*(self.workbench.one(kind) for kind in kinds), *embedders]

    def identity(self) -> JsonValue:
        """Return what the fingerprint is made of, but for the stages before."""
        return [super().identity(), self._dtype]

    @property
    def _dtype(self) -> str:
        return self.workbench.config.embeddings.dtype

    @cached_property
    def _files(self) -> dict[str, str]:
        """The distinct images: the name of each file, by its SHA-256."""
        table = self.run_dir.read("downloads", ["sha256", "filename"])
        table = table.filter(table["filename"].is_valid())
        return dict(zip(table["sha256"].to_pylist(), table["filename"].to_pylist(), strict=True))

    @cached_property
    def _shards(self) -> list[tuple[int, list[str] | None]]:
        """The number of the model and the images of each part; ``None`` for the anchors.

        Not the model itself: this goes to other machines, where it is another object.
        """
        images = list(self._files)
        size = self.workbench.config.engine.batch_rows
        found: list[tuple[int, list[str] | None]] = []
        for model in range(len(self.workbench.embedders())):
            found += [(model, images[a:b]) for a, b in row_ranges(len(images), size)]
            if model > 0:
                found.append((model, None))
        return found

    def shards(self) -> Sequence[Rows]:
        """Return the numbers of the parts: ranges of images, model by model."""
        return [(number, number + 1) for number in range(len(self._shards))]

    def process(self, shard: Rows) -> pa.Table:
        """Embed a range of images with one of the models, or the anchors with one of a scorer."""
        model, images = self._shards[shard[0]]
        embedder = self.workbench.embedders()[model]
        known = self._earlier(embedder)
        rows = self._anchors(embedder) if images is None else self._images(embedder, images, known)
        schema = made_by(EMBEDDINGS, self._maker(embedder))
        about = {"model": key_of(embedder)}
        return pa.Table.from_pylist([{**about, **row} for row in rows], schema=schema)

    def _maker(self, embedder: Embedder) -> str:
        return f"{maker_of(self.workbench.ready(embedder))}-{self._dtype}"

    def _earlier(self, embedder: Embedder) -> _Earlier:
        key = key_of(embedder)
        if key not in self._known:
            self._known[key] = _Earlier(self.run_dir, self._maker(embedder), self._dtype)
        return self._known[key]

    @cached_property
    def _known(self) -> dict[str, _Earlier]:
        return {}

    def _images(
        self, embedder: Embedder, images: Sequence[str], known: _Earlier
    ) -> Iterator[dict[str, str | bytes | None]]:
        for start in range(0, len(images), DECODE_TOGETHER):
            batch = images[start : start + DECODE_TOGETHER]
            found = {sha256: known.get(sha256) for sha256 in batch}
            found |= self._of_the_pool(embedder, [key for key in batch if found[key] is None])
            new, errors = self._decode([sha256 for sha256 in batch if found[sha256] is None])
            found |= self._embed(embedder, new)
            for sha256 in batch:
                vector, origin = found[sha256] or (None, None)
                about = {"sha256": sha256, "image_error": errors.get(sha256)}
                yield {**about, "origin": origin, "vector": vector}

    def _embed(self, embedder: Embedder, pictures: dict[str, Picture]) -> dict[str, Vector]:
        if not pictures:
            return {}
        model = self.workbench.ready(embedder)
        found = model.embed_images(list(pictures.values()))
        vectors = check_embeddings(model, found, len(pictures), model.dim)
        stored = to_bytes(vectors, self._dtype)
        return {key: (one, EMBEDDED) for key, one in zip(pictures, stored, strict=True)}

    def _of_the_pool(self, embedder: Embedder, sha256s: Sequence[str]) -> dict[str, Vector]:
        """Return the vectors that the pool has of these very images, made by the same model."""
        rows = {key: self._pool_rows[key] for key in sha256s if key in self._pool_rows}
        if not rows or embedder is not self.workbench.one(Embedder):
            return {}
        retriever = self.workbench.ready(self.workbench.one(Retriever))
        ids = np.array(list(rows.values()), dtype=np.int64)
        found = retriever.vectors(ids)
        vectors = check_embeddings(retriever, found, len(ids), self.workbench.ready(embedder).dim)
        stored = to_bytes(vectors, self._dtype)
        return {key: (one, INDEX) for key, one in zip(rows, stored, strict=True)}

    @cached_property
    def _pool_rows(self) -> dict[str, int]:
        """The row of the pool of each image that its vector was made from; often none."""
        retriever, embedder = self.workbench.one(Retriever), self.workbench.one(Embedder)
        if self._dtype != POOL_DTYPE or not retriever.has_vectors():
            return {}
        pool = check_model(retriever, self.workbench.ready(retriever).pool_model())
        facts = self.workbench.ready(embedder).facts()
        mine = (embedder.model_id, facts.get("weights_sha256"))
        if (pool.model_id, pool.weights_sha256) != mine:
            return {}
        rows = self.run_dir.read("candidates", ["id", "pool_sha256"])
        rows = rows.filter(rows["pool_sha256"].is_valid())
        return dict(zip(rows["pool_sha256"].to_pylist(), rows["id"].to_pylist(), strict=True))

    def _decode(self, sha256s: Sequence[str]) -> tuple[dict[str, Picture], dict[str, str]]:
        pictures: dict[str, Picture] = {}
        errors: dict[str, str] = {}
        for sha256 in sha256s:
            try:
                pictures[sha256] = decode_image(read_image(self.run_dir, self._files[sha256]))
            except ImageError as error:
                errors[sha256] = str(error)
        return pictures, errors

    def _anchors(self, embedder: Embedder) -> Iterator[dict[str, str | bytes | None]]:
        """Embed the anchors with the model of a scorer, each view once."""
        model, first, done = self.workbench.ready(embedder), 0, set[str]()
        samples = read_samples(self.workbench)
        while batch := list(islice(samples, BATCH)):
            views = {view.sha256: view for view in views_of(self.workbench, batch, first)}
            new = {key: view for key, view in views.items() if key not in done}
            vectors = embed_views(model, list(new.values()))
            for key, vector in zip(new, vectors, strict=True):
                stored = to_bytes(np.atleast_2d(vector), self._dtype)[0]
                yield {"sha256": key, "origin": EMBEDDED, "vector": stored}
            done |= set(new)
            first += len(batch)

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the images that were embedded, those taken over, and those that are damaged."""
        origins = table["origin"].to_pylist()
        damaged = table.num_rows - table["image_error"].null_count
        taken_over = origins.count(RUN) + origins.count(INDEX)
        counted = {"embedded": origins.count(EMBEDDED), "taken_over": taken_over}
        return counted | ({"damaged": damaged} if damaged else {})


class _Earlier:
    """The vectors of earlier runs that the same maker has made.

    Args:
        run_dir: The run directory, which names others.
        maker: What made the vectors, and their dtype.
        dtype: How they are stored.
    """

    def __init__(self, run_dir: RunDir, maker: str, dtype: str) -> None:
        stage = EmbeddingsStage.name
        # What this very stage made of other inputs is its own, and stays so.
        own = StoredVectors(parts_aside(run_dir, stage, maker), run_dir.read_table, dtype)
        parts = [part for _, part in earlier_parts(run_dir, stage, maker)]
        self._places = [(own, None), (StoredVectors(parts, run_dir.read_table, dtype), RUN)]

    def get(self, sha256: str) -> Vector | None:
        """Return the vector of an image, as it is stored; ``None`` if it is not there."""
        for vectors, origin in self._places:
            for model in vectors.models:  # the same weights may have been called by other options
                if vectors.has(model, sha256):
                    return vectors.raw(model, sha256), origin or vectors.origin(model, sha256)
        return None


def read_image(run_dir: RunDir, filename: str) -> bytes:
    """Return a downloaded image.

    Raises:
        RunError: It is not what was downloaded.
    """
    path = run_dir.images / filename
    content = path.read_bytes()
    if not is_named_by_content(path, content):
        raise RunError(
            f"{path}: damaged since it was downloaded; delete it and run the same command "
            "again, which fetches it anew."
        )
    return content
