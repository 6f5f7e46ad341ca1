"""The conformance suites: one class per kind of component, subclassed in an author's tests.

For example::

    # conftest.py
    pytest_plugins = ["laion_eo.testing.fixtures"]

    # test_beaches.py
    from laion_eo.testing.suites import AnchorSourceTests
    from my_plugin import Beaches

    class TestBeaches(AnchorSourceTests):
        component_cls = Beaches
        options = {"root": "tests/data"}
"""

from __future__ import annotations

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
from laion_eo.testing.suites.anchor_source import AnchorSourceTests
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.testing.suites.downloader import DownloaderTests
from laion_eo.testing.suites.embedder import EmbedderTests
from laion_eo.testing.suites.filter import FilterTests
from laion_eo.testing.suites.language_tagger import LanguageTaggerTests
from laion_eo.testing.suites.pictures import AugmenterTests, NormalizerTests
from laion_eo.testing.suites.publisher import PublisherTests
from laion_eo.testing.suites.retriever import RetrieverTests
from laion_eo.testing.suites.scorer import ScorerTests

__all__ = [
    "SUITES",
    "AnchorSourceTests",
    "AugmenterTests",
    "ComponentTests",
    "DownloaderTests",
    "EmbedderTests",
    "FilterTests",
    "LanguageTaggerTests",
    "NormalizerTests",
    "PublisherTests",
    "RetrieverTests",
    "ScorerTests",
]

SUITES: dict[type, type[ComponentTests]] = {
    AnchorSource: AnchorSourceTests,
    Normalizer: NormalizerTests,
    Augmenter: AugmenterTests,
    Embedder: EmbedderTests,
    Retriever: RetrieverTests,
    Downloader: DownloaderTests,
    Scorer: ScorerTests,
    Filter: FilterTests,
    LanguageTagger: LanguageTaggerTests,
    Publisher: PublisherTests,
}
"""The suite of each kind, by its abstract class."""
