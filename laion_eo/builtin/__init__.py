"""The components that come with laion-eo, registered through the same hooks as everybody's."""

from __future__ import annotations

from collections.abc import Sequence

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import (
    AnchorSource,
    Augmenter,
    Downloader,
    Embedder,
    Filter,
    LanguageTagger,
    Normalizer,
    Publisher,
    Retriever,
    Scorer,
)


@hookimpl
def laion_eo_anchor_sources() -> Sequence[type[AnchorSource]]:
    """Register the anchor sources, the paper's first."""
    from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
    from laion_eo.builtin.anchor_sources.images import FolderAnchors
    from laion_eo.builtin.anchor_sources.texts import TextAnchors

    return [CloudSEN12, FolderAnchors, TextAnchors]


@hookimpl
def laion_eo_normalizers() -> Sequence[type[Normalizer]]:
    """Register the normalizers, the paper's first."""
    from laion_eo.builtin.normalizers import NoNormalizer, Percentile, ReflectanceGain

    return [ReflectanceGain, Percentile, NoNormalizer]


@hookimpl
def laion_eo_augmenters() -> Sequence[type[Augmenter]]:
    """Register the augmenters, the paper's first."""
    from laion_eo.builtin.augmenters import Crops, NoAugmenter, Rotations

    return [NoAugmenter, Crops, Rotations]


@hookimpl
def laion_eo_embedders() -> Sequence[type[Embedder]]:
    """Register the embedders, the paper's first."""
    from laion_eo.builtin.embedders.open_clip import OpenClip
    from laion_eo.builtin.embedders.tiny.embedder import Tiny

    return [OpenClip, Tiny]


@hookimpl
def laion_eo_retrievers() -> Sequence[type[Retriever]]:
    """Register the retrievers."""
    from laion_eo.builtin.retrievers.exact_scan import ExactScan
    from laion_eo.builtin.retrievers.faiss import FaissIndex
    from laion_eo.builtin.retrievers.knn_service import KnnService
    from laion_eo.builtin.retrievers.replay import Replay

    return [ExactScan, FaissIndex, KnnService, Replay]


@hookimpl
def laion_eo_downloaders() -> Sequence[type[Downloader]]:
    """Register the downloaders."""
    from laion_eo.builtin.downloaders.http.downloader import HttpDownloader

    return [HttpDownloader]


@hookimpl
def laion_eo_scorers() -> Sequence[type[Scorer]]:
    """Register the scorers."""
    from laion_eo.builtin.scorers.anchor_set import AnchorSetSimilarity
    from laion_eo.builtin.scorers.combined import Combined
    from laion_eo.builtin.scorers.embedding import StoredEmbedding
    from laion_eo.builtin.scorers.perceptual_hash import PerceptualHash
    from laion_eo.builtin.scorers.probe import Probe
    from laion_eo.builtin.scorers.similarity import ImageSimilarity, TextSimilarity

    return [
        ImageSimilarity,
        TextSimilarity,
        AnchorSetSimilarity,
        Probe,
        Combined,
        PerceptualHash,
        StoredEmbedding,
    ]


@hookimpl
def laion_eo_filters() -> Sequence[type[Filter]]:
    """Register the filters."""
    from laion_eo.builtin.filters.allow_list import AllowListFilter
    from laion_eo.builtin.filters.column import ColumnFilter
    from laion_eo.builtin.filters.duplicates import Duplicates
    from laion_eo.builtin.filters.labels import LabelsFilter
    from laion_eo.builtin.filters.min_size import MinSize
    from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold

    return [
        MinSize, SimilarityThreshold, ColumnFilter, LabelsFilter, Duplicates, AllowListFilter
    ]  # fmt: skip


@hookimpl
def laion_eo_language_taggers() -> Sequence[type[LanguageTagger]]:
    """Register the language taggers, the paper's first."""
    from laion_eo.builtin.language_taggers.fasttext import FastText
    from laion_eo.builtin.language_taggers.xlm_roberta import XlmRoberta

    return [XlmRoberta, FastText]


@hookimpl
def laion_eo_publishers() -> Sequence[type[Publisher]]:
    """Register the publishers."""
    from laion_eo.builtin.publishers.folder import Folder
    from laion_eo.builtin.publishers.hf_hub import HfHub

    return [Folder, HfHub]
