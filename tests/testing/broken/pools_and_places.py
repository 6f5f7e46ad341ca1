"""Broken retrievers, downloaders and publishers; see sources_and_pictures.py."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.publishers.folder import Folder
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.kinds import PoolModel, PoolSize
from laion_eo.testing import random_unit, suites, write_pool
from laion_eo.types import Download, DownloadStatus, Neighbors


class OverPool(suites.RetrieverTests):
    @classmethod
    def make_options(cls, folder: Path) -> Any:
        return {"pool": str(write_pool(folder, random_unit(cls.rows, cls.dim)))}


class TestVectorsOfOthers(OverPool):
    fails = ("test_vectors_are_those_that_are_searched", "Not equal to tolerance")

    class component_cls(ExactScan):
        def vectors(self, ids: Any) -> Any:
            return super().vectors(ids)[::-1]


class TestAscending(OverPool):
    fails = ("test_neighbours_are_complete", "scores that do not descend")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            found = super().search(queries, k)
            return Neighbors(found.scores[:, ::-1].copy(), found.ids[:, ::-1].copy())


class TestTooFew(OverPool):
    fails = ("test_neighbours_are_complete", r"neighbours of shape \(5, 7\) wanted, got \(5, 6\)")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            return super().search(queries, max(k - 1, 1))


class TestOneRowForAll(OverPool):
    fails = ("test_ids_are_rows_of_the_pool", "len")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            found = super().search(queries, k)
            return Neighbors(found.scores, np.minimum(found.ids, 3))


class TestInvents(OverPool):
    fails = ("test_more_than_there_is", "-1")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            found = super().search(queries, k)
            scores = np.where(found.ids < 0, np.float32(-1), found.scores)
            invented = 1000 + np.arange(found.ids.size).reshape(found.ids.shape)
            return Neighbors(scores, np.where(found.ids < 0, invented, found.ids))


class TestWorseWithFewer(OverPool):
    fails = ("test_fewer_are_the_first_of_more", "Not equal to tolerance")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            if k > 2:
                return super().search(queries, k)
            found = super().search(queries, k + 3)
            return Neighbors(found.scores[:, 3:], found.ids[:, 3:])


class TestByBatch(OverPool):
    fails = ("test_queries_do_not_disturb_each_other", "Arrays are not equal")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            return super().search(queries if len(queries) == 1 else queries[::-1].copy(), k)


class TestNeedsQueries(OverPool):
    fails = ("test_no_queries", "need at least one array")

    class component_cls(ExactScan):
        def search(self, queries: Any, k: int) -> Neighbors:
            parts = [super(type(self), self).search(query[None], k) for query in queries]
            scores = np.concatenate([part.scores for part in parts])
            return Neighbors(scores, np.concatenate([part.ids for part in parts]))


class TestNoCaptions(OverPool):
    fails = ("test_metadata_is_complete", "gave 3 rows, without caption")

    class component_cls(ExactScan):
        def lookup(self, ids: Any) -> pa.Table:
            return super().lookup(ids).select(["url"])


class TestSortedMetadata(OverPool):
    fails = ("test_metadata_comes_in_the_order_asked_for", "==")

    class component_cls(ExactScan):
        def lookup(self, ids: Any) -> pa.Table:
            return super().lookup(np.sort(ids))


class TestNeedsIds(OverPool):
    fails = ("test_metadata_of_nothing", "IndexError")

    class component_cls(ExactScan):
        def lookup(self, ids: Any) -> pa.Table:
            assert ids[0] >= 0
            return super().lookup(ids)


class TestBoasts(OverPool):
    fails = ("test_the_size_is_the_pools", "1000000")

    class component_cls(ExactScan):
        def pool_size(self) -> PoolSize:
            return PoolSize(1_000_000, 1)


# --- downloaders --------------------------------------------------------------------------------


class TestOtherPool(OverPool):
    fails = ("test_the_model_is_the_pools", "assert 17 in")

    class component_cls(ExactScan):
        def pool_model(self) -> PoolModel:
            return PoolModel(dim=17)


class OnLoopback(suites.DownloaderTests):
    options = {"allow_hosts": ["127.0.0.1"], "retries": 0, "delay": 0.0}


class Changing(HttpDownloader):
    """The http downloader, each end changed."""

    def change(self, end: Download) -> Download:
        return end

    def download(self, urls: Any) -> Any:
        return (self.change(end) for end in super().download(urls))


class TestDropsFailures(OnLoopback):
    fails = ("test_every_url_has_its_end", "==")

    class component_cls(HttpDownloader):
        def download(self, urls: Any) -> Any:
            ends = super().download(urls)
            return (end for end in ends if end.status is DownloadStatus.OK)


class TestRaises(OnLoopback):
    fails = ("test_every_url_has_its_end", "ConnectionError: gone")

    class component_cls(Changing):
        def change(self, end: Download) -> Download:
            if end.status is not DownloadStatus.OK:
                raise ConnectionError("gone")
            return end


class TestOtherUrls(OnLoopback):
    fails = ("test_every_url_has_its_end", "which was not asked for")

    class component_cls(Changing):
        def change(self, end: Download) -> Download:
            return replace(end, url=end.url + "?")


class TestWrongHash(OnLoopback):
    fails = ("test_images_come_complete", "the sha256 is not that of its bytes")

    class component_cls(Changing):
        def change(self, end: Download) -> Download:
            return replace(end, sha256="../../elsewhere")


class TestNoSize(OnLoopback):
    fails = ("test_images_come_complete", "lacks its bytes, size or a known format")

    class component_cls(Changing):
        def change(self, end: Download) -> Download:
            return replace(end, width=None)


class TestNoReason(OnLoopback):
    fails = ("test_failures_have_a_reason", "strip")

    class component_cls(Changing):
        def change(self, end: Download) -> Download:
            return replace(end, reason="")


class TestTakesAnything(OnLoopback):
    fails = ("test_what_is_no_image_is_refused", "is not")

    class component_cls(Changing):
        def change(self, end: Download) -> Download:
            return replace(end, status=DownloadStatus.OK)


class TestNeedsUrls(OnLoopback):
    fails = ("test_no_urls", "IndexError")

    class component_cls(HttpDownloader):
        def download(self, urls: Any) -> Any:
            assert urls[0] is not None
            return super().download(urls)


class TestOnce(OnLoopback):
    fails = ("test_it_can_be_left", "busy")

    class component_cls(HttpDownloader):
        busy = False

        def download(self, urls: Any) -> Any:
            assert not self.busy, "busy"
            self.busy = True
            yield from super().download(urls)
            self.busy = False


# --- publishers ---------------------------------------------------------------------------------


class ToFolder(suites.PublisherTests):
    @classmethod
    def make_options(cls, folder: Path) -> Any:
        return {"path": str(folder / "published")}

    def published(self, component: Any, revision: str) -> dict[str, bytes]:
        root = component.config.path
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }


class TestUnseen(ToFolder):
    fails = ("test_it_is_there_complete", "override `published`")
    component_cls = Folder
    published = suites.PublisherTests.published


class TestNoRevision(ToFolder):
    fails = ("test_it_is_there_complete", "str wanted, got NoneType")

    class component_cls(Folder):
        def publish(self, release: Any) -> Any:
            super().publish(release)


class TestLosesTheCard(ToFolder):
    fails = ("test_it_is_there_complete", "README.md")

    class component_cls(Folder):
        def publish(self, release: Any) -> str:
            revision = super().publish(release)
            assert self.config.path
            (self.config.path / "README.md").unlink()
            return revision


class TestOnlyOnce(ToFolder):
    fails = ("test_the_same_again_is_no_error", "FileExistsError")

    class component_cls(Folder):
        def publish(self, release: Any) -> str:
            assert self.config.path
            shutil.copytree(release.folder, self.config.path)
            return "first"


class TestOneRevision(ToFolder):
    fails = ("test_a_newer_one_replaces_it", "!=")

    class component_cls(Folder):
        def publish(self, release: Any) -> str:
            super().publish(release)
            return "latest"


class TestMovesIt(ToFolder):
    fails = ("test_the_dataset_is_left_alone", "==")

    class component_cls(Folder):
        def publish(self, release: Any) -> str:
            revision = super().publish(release)
            shutil.rmtree(release.folder)
            return revision
