"""Filters ``nsfw-threshold`` and ``no-caption-pii``: on the columns of this plugin's scorers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.kinds import Filter
from laion_eo.types import Verdict


class NsfwThreshold(Filter):
    """Drops what is probably not safe for work."""

    name = "nsfw-threshold"
    summary = "drops images that are probably pornographic"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            max: Probability above which a row is dropped. The model's authors call scores below 0.2
                safe and scores above 0.8 not safe.
        """

        max: float = Field(default=0.5, ge=0, le=1)

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return the column of the scorer ``nsfw``."""
        return ("nsfw",)

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge ``nsfw``."""
        score = batch["nsfw"].to_numpy()
        reasons = [f"nsfw {value:.3f} > {self.config.max:g}" for value in score]
        return Verdict(score <= self.config.max, reasons)


class NoCaptionPii(Filter):
    """Drops rows whose caption has personal data."""

    name = "no-caption-pii"
    summary = "drops rows with personal data in the caption"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            allow: Kinds that may stay, such as ``ip-address``.
        """

        allow: tuple[str, ...] = ()

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return the column of the scorer ``caption-pii``."""
        return ("caption_pii",)

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge ``caption_pii``."""
        found = [
            sorted(set((kinds or "").split(",")) - {"", *self.config.allow})
            for kinds in batch["caption_pii"].to_pylist()
        ]
        mask = np.array([not kinds for kinds in found], dtype=bool)
        return Verdict(mask, [f"the caption has: {', '.join(kinds)}" for kinds in found])
