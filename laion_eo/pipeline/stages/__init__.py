"""The stages of the pipeline, in the order of the work."""

from __future__ import annotations

from laion_eo.pipeline.stages.anchors import Anchors
from laion_eo.pipeline.stages.base import Stage
from laion_eo.pipeline.stages.dataset import Dataset
from laion_eo.pipeline.stages.downloads import Downloads
from laion_eo.pipeline.stages.languages import Languages
from laion_eo.pipeline.stages.neighbors import Candidates, NeighborsStage
from laion_eo.pipeline.stages.scores import Scores
from laion_eo.pipeline.stages.verdicts import Verdicts

STAGES: tuple[type[Stage], ...] = (
    Anchors,
    NeighborsStage,
    Candidates,
    Downloads,
    Scores,
    Languages,
    Verdicts,
    Dataset,
)

__all__ = ["STAGES", "Stage"]
