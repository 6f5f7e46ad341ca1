"""The stages of the pipeline, in the order of the work, and the publishing that follows them."""

from __future__ import annotations

from laion_eo.pipeline.stages.anchors import Anchors
from laion_eo.pipeline.stages.base import ShapedStage, ShardedStage, Step, StreamStage, TableStage
from laion_eo.pipeline.stages.downloads import Downloads
from laion_eo.pipeline.stages.embeddings import EmbeddingsStage
from laion_eo.pipeline.stages.fitted import AnchorScores, FittedScores
from laion_eo.pipeline.stages.languages import Languages
from laion_eo.pipeline.stages.neighbors import Candidates, NeighborsStage
from laion_eo.pipeline.stages.publishing import Publishing
from laion_eo.pipeline.stages.scores import Scores
from laion_eo.pipeline.stages.verdicts import Verdicts

STAGES: tuple[type[ShapedStage], ...] = (
    Anchors,
    NeighborsStage,
    Candidates,
    Downloads,
    EmbeddingsStage,
    Scores,
    FittedScores,
    AnchorScores,
    Languages,
    Verdicts,
)

__all__ = [
    "STAGES",
    "Anchors",
    "EmbeddingsStage",
    "Publishing",
    "ShapedStage",
    "ShardedStage",
    "Step",
    "StreamStage",
    "TableStage",
]
