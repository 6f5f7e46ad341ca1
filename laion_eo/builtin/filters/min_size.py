"""Filter ``min-size``: small images go."""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.kinds import Filter
from laion_eo.types import Verdict


class MinSize(Filter):
    """Drops images that are too small (section 2.2)."""

    name = "min-size"
    summary = "drops images below a width and height"

    class Config(ComponentConfig):
        """Options; the defaults are the paper's.

        Attributes:
            width: Pixels at least.
            height: Pixels at least; as many as ``width`` if it is not given.
        """

        width: int = Field(default=256, ge=1)
        height: int | None = Field(default=None, ge=1)

        @property
        def least(self) -> tuple[int, int]:
            """Width and height at least, pixels."""
            return self.width, self.width if self.height is None else self.height

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return the sides."""
        return ("width", "height")

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge ``width`` and ``height``."""
        width, height = batch["width"].to_numpy(), batch["height"].to_numpy()
        wide, high = self.config.least
        mask = (width >= wide) & (height >= high)
        limit = f"{wide} x {high}"
        sizes = zip(width.tolist(), height.tolist(), strict=True)
        return Verdict(mask, [f"{w} x {h} is below {limit}" for w, h in sizes])
