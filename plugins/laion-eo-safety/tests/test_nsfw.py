from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from laion_eo_safety.nsfw import Nsfw

from laion_eo.testing.suites import ScorerTests


class TestNsfw(ScorerTests):
    component_cls = Nsfw

    def test_it_is_a_probability(self, component: Nsfw) -> None:
        scores = component.score(self.batch())["nsfw"].to_numpy()
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_skin_is_told_from_a_field(self, component: Nsfw) -> None:
        """A weak but real sign of the true weights: they react to the colour of skin."""
        batch = self.batch()
        batch = replace(batch, images=[_gradient((224, 172, 140)), *batch.images[1:]])
        scores = component.score(batch)["nsfw"].to_numpy()
        assert scores[0] > 2 * scores[1:].max()

    def test_the_weights_are_known(self, component: Nsfw) -> None:
        assert re.fullmatch(r"[0-9a-f]{64}", component.facts()["weights_sha256"])


def _gradient(colour: tuple[int, int, int]) -> np.ndarray:
    ramp = np.linspace(0.6, 1.0, 256)[:, None, None]
    return np.broadcast_to(ramp * np.array(colour), (256, 256, 3)).astype(np.uint8)
