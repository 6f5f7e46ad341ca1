"""The suite of embedders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from laion_eo.component import Context
from laion_eo.kinds import Embedder
from laion_eo.kinds.contract import check_embeddings
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.testing.suites.pictures import sample_pictures
from laion_eo.testing.web import GREEN, RED, picture

TEXTS = ("a satellite image", "", "ein grünes Feld", "word " * 500)
CLOSE = 1e-3
"""Cosine by which an embedding may move with its batch: kernels differ by batch size."""


class EmbedderTests(ComponentTests):
    """Tests of an :class:`~laion_eo.kinds.Embedder`."""

    def test_the_model_has_a_name(self, component: Embedder) -> None:
        """``model_id`` is a line that names model and weights."""
        assert component.model_id.strip()
        assert "\n" not in component.model_id

    def test_the_model_is_known_before_it_is_loaded(
        self, component: Embedder, tmp_path: Path
    ) -> None:
        """``model_id`` is the same before ``setup``, and ``known_dim`` is ``dim`` or ``None``."""
        fresh = self.build(self.make_options(tmp_path), Context(work_dir=tmp_path))
        assert fresh.model_id == component.model_id
        assert fresh.known_dim() in (None, component.dim)

    def test_pictures_become_unit_vectors(self, component: Embedder) -> None:
        """float32 (n, dim) of length 1, for pictures of any size."""
        pictures = sample_pictures()
        check_embeddings(component, component.embed_images(pictures), len(pictures), component.dim)

    def test_texts_become_unit_vectors(self, component: Embedder) -> None:
        """The same for texts, empty and very long ones among them."""
        check_embeddings(component, component.embed_texts(TEXTS), len(TEXTS), component.dim)

    def test_nothing_becomes_no_vectors(self, component: Embedder) -> None:
        """No pictures and no texts give (0, dim)."""
        for nothing in (component.embed_images([]), component.embed_texts([])):
            check_embeddings(component, nothing, 0, component.dim)

    def test_the_same_picture_gives_the_same_vector(self, component: Embedder) -> None:
        """Embedding is deterministic: dropout is off."""
        pictures = sample_pictures()
        first, second = (component.embed_images(pictures) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_batches_do_not_matter(self, component: Embedder) -> None:
        """A picture's vector does not depend on the pictures beside it."""
        pictures = sample_pictures()
        together = component.embed_images(pictures)
        alone = np.concatenate([component.embed_images([one]) for one in pictures])
        assert float(np.einsum("nd,nd->n", together, alone).min()) >= 1 - CLOSE

    def test_order_is_kept(self, component: Embedder) -> None:
        """Row i is picture i: like pictures come out alike, and in their places."""
        colours = (GREEN, RED, GREEN, RED)
        fields = [np.asarray(picture(seed, colour)) for seed, colour in enumerate(colours)]
        vectors = component.embed_images(fields)
        likeness = vectors @ vectors.T
        assert likeness[0, 2] > likeness[0, 1]
        assert likeness[1, 3] > likeness[1, 2]
