"""The kinds of component: one abstract class each, and the table that lists them."""

from __future__ import annotations

from dataclasses import dataclass

from laion_eo.component import Component
from laion_eo.kinds.anchor_source import AnchorSource, AnchorSourceConfig, texts_beside
from laion_eo.kinds.augmenter import Augmenter
from laion_eo.kinds.downloader import Downloader
from laion_eo.kinds.embedder import Embedder
from laion_eo.kinds.filter import Filter
from laion_eo.kinds.fitting import AnchorSet, FitData
from laion_eo.kinds.language_tagger import LanguageTagger
from laion_eo.kinds.normalizer import Normalizer
from laion_eo.kinds.publisher import Publisher, Release
from laion_eo.kinds.retriever import (
    PoolModel,
    PoolSize,
    Retriever,
    RetrieverConfig,
    ShardedRetriever,
    merge_neighbors,
    no_neighbors,
)
from laion_eo.kinds.scorer import FittedScorer, ScoreBatch, Scorer, ScorerConfig

__all__ = [
    "KINDS",
    "AnchorSet",
    "AnchorSource",
    "AnchorSourceConfig",
    "Augmenter",
    "Downloader",
    "Embedder",
    "Filter",
    "FitData",
    "FittedScorer",
    "Kind",
    "LanguageTagger",
    "Normalizer",
    "PoolModel",
    "PoolSize",
    "Publisher",
    "Release",
    "Retriever",
    "RetrieverConfig",
    "ScoreBatch",
    "Scorer",
    "ScorerConfig",
    "ShardedRetriever",
    "merge_neighbors",
    "no_neighbors",
    "texts_beside",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of component.

    Attributes:
        name: As a person says it: ``anchor-source``.
        table: The run file's key: ``anchors``.
        hook: The hook that registers components of this kind.
        base: The abstract class that they derive from.
        many: Whether a run has a list of them.
    """

    name: str
    table: str
    hook: str
    base: type[Component]
    many: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("anchor-source", "anchors", "laion_eo_anchor_sources", AnchorSource),
    Kind("normalizer", "normalizer", "laion_eo_normalizers", Normalizer),
    Kind("augmenter", "augmenter", "laion_eo_augmenters", Augmenter),
    Kind("embedder", "embedder", "laion_eo_embedders", Embedder),
    Kind("retriever", "retriever", "laion_eo_retrievers", Retriever),
    Kind("downloader", "downloader", "laion_eo_downloaders", Downloader),
    Kind("scorer", "scorers", "laion_eo_scorers", Scorer, many=True),
    Kind("filter", "filters", "laion_eo_filters", Filter, many=True),
    Kind("language-tagger", "language_tagger", "laion_eo_language_taggers", LanguageTagger),
    Kind("publisher", "publisher", "laion_eo_publishers", Publisher),
)
