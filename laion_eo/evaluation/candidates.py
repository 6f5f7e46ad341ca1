"""The candidates of a finished run: what they score, and what became of each."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.builtin.filters.label_model import Features, score_columns
from laion_eo.errors import ConfigError, RunError
from laion_eo.file_record import digest_of
from laion_eo.kinds import AnchorSet, Embedder, Filter, FitData, PoolModel
from laion_eo.pipeline.manifest import Manifest
from laion_eo.pipeline.run_dir import RunDir, is_run_dir
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.vectors.queries import scored_anchors
from laion_eo.pipeline.vectors.seen import with_images
from laion_eo.pipeline.vectors.stored import StoredVectors
from laion_eo.pipeline.workbench import key_of
from laion_eo.registry import Registry
from laion_eo.types import Embeddings


class Candidates:
    """The distinct candidates with an image.

    Rows that a filter dropped for the sake of other rows, as copies of them, are left out: they are
    no loss, and no find of their own.

    Args:
        run: The run directory.
        registry: Where components are found.

    Raises:
        ConfigError: It is no run directory, or the run has not ended.
        DataError: Its manifest is damaged.
    """

    def __init__(self, run: Path, registry: Registry) -> None:
        self.run_dir = RunDir(run)
        self.registry = registry
        record = self.run_dir.record("verdicts") if is_run_dir(run) else None
        if record is None or self.run_dir.record("dataset") is None:
            raise ConfigError(f"{run}: no finished run; `laion-eo run` makes one.")
        self.manifest = Manifest.load(run)
        self.digest = digest_of(record.files)
        try:
            verdicts = self.run_dir.read("verdicts")
            table = with_scores(self.run_dir)
        except RunError as error:
            raise ConfigError(str(error)) from None
        table = table.append_column("kept", verdicts["kept"])
        table = with_images(table.append_column("dropped_by", verdicts["filter"]))
        relative = {
            entry.cls.name
            for entry in registry.entries
            if issubclass(entry.cls, Filter) and not entry.cls.judges_alone
        }
        alone = [name not in relative for name in table["dropped_by"].to_pylist()]
        self.table = table.filter(pa.array(alone, pa.bool_()))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.manifest.seed

    @cached_property
    def ids(self) -> list[int]:
        """Of each candidate."""
        found: list[int] = self.table["id"].to_pylist()
        return found

    @cached_property
    def places(self) -> dict[int, int]:
        """The row of each candidate, by its id."""
        return {number: place for place, number in enumerate(self.ids)}

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """bool, (n,): those that were kept."""
        return np.asarray(self.table["kept"].to_numpy(), dtype=bool)

    @cached_property
    def dropped_by(self) -> list[str | None]:
        """The filter that dropped each."""
        found: list[str | None] = self.table["dropped_by"].to_pylist()
        return found

    @cached_property
    def sums(self) -> NDArray[np.float64]:
        """float64, (n,): the sum of the scores, in standard deviations."""
        return self.features.sums()

    @cached_property
    def features(self) -> Features:
        """Every candidate as numbers."""
        return self.features_of(self.table)

    def features_of(self, table: pa.Table) -> Features:
        """Return some of the candidates as numbers, standardised over these."""
        model = PoolModel(None, self._anchors.embeddings.shape[1])
        data = FitData(table, self._anchors, self._vectors, model)
        return Features(data, score_columns(table, self._anchors))

    @cached_property
    def _anchors(self) -> AnchorSet:
        return scored_anchors(self.run_dir)

    @cached_property
    def _stored(self) -> StoredVectors:
        return StoredVectors.of_run(self.run_dir, self.manifest.resolved.embeddings.dtype)

    @cached_property
    def _model(self) -> str:
        models = self._stored.models
        if len(models) == 1:
            return models[0]
        table = self.manifest.resolved.embedder.model_dump()
        return key_of(self.registry.build(Embedder, table, str(self.run_dir.path)))

    def _vectors(self, rows: pa.Table) -> Embeddings:
        return self._stored.read(self._model, rows["sha256"].to_pylist())
