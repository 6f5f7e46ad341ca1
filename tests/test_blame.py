"""A third-party component that misbehaves in a run is named, with its distribution, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from third_party import installed, raising, returning

from laion_eo.builtin.anchor_sources.images import FolderAnchors
from laion_eo.builtin.augmenters import NoAugmenter
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.builtin.normalizers import NoNormalizer
from laion_eo.builtin.publishers.folder import Folder
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.builtin.scorers.similarity import ImageSimilarity
from laion_eo.component import Component
from laion_eo.errors import DataError, PluginError, RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.pipeline import plan, run
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.testing.colours import Colours, Letters
from laion_eo.types import JSON, Anchor, Download, LanguageTags, Verdict


def run_with(cls: type[Component], data: dict[str, JSON], out: Path) -> RunError:
    """Run with the component in the place of its kind, and return what it raises."""
    registry, table = installed(cls)
    many = isinstance(data.get(table), list)
    options = {} if many else dict(data.get(table, {}))
    data[table] = [{"use": "third-party"}] if many else {**options, "use": "third-party"}
    if many:
        data["filters"] = data["filters"] if table == "filters" else []
    with pytest.raises(RunError) as caught:
        run(data, out, registry=registry)
    return caught.value


METHODS: list[tuple[type[Component], str]] = [
    (FolderAnchors, "anchors"),
    (FolderAnchors, "identity"),
    (NoNormalizer, "normalize"),
    (NoAugmenter, "augment"),
    (Colours, "check"),
    (Colours, "known_dim"),
    (Colours, "setup"),
    (Colours, "embed_images"),
    (ExactScan, "pool_model"),
    (ExactScan, "search_shard"),
    (ExactScan, "lookup"),
    (HttpDownloader, "download"),
    (ImageSimilarity, "score"),
    (Letters, "tag"),
    (MinSize, "fit"),
    (MinSize, "keep"),
    (MinSize, "facts"),
    (Folder, "publish"),
]


@pytest.mark.parametrize(("base", "method"), METHODS)
def test_what_raises_is_named(
    base: type[Component], method: str, run_data: dict[str, JSON], tmp_path: Path
) -> None:
    error = run_with(raising(base, method), run_data, tmp_path / "run")
    assert str(error) == (
        "'third-party' (plugin 'theirs' of their-package 1.2) "
        "raised ZeroDivisionError: no luck today"
    )
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "in fall" in (tmp_path / "run" / "traceback.txt").read_text()


def first(value: Iterator[Any]) -> Iterator[Any]:
    yield from list(value)[:1]


def of_itself() -> dict[str, JSON]:
    facts: dict[str, JSON] = {}
    facts["again"] = facts
    return facts


WRONG: list[tuple[type[Component], str, Callable[[Any], Any], str]] = [
    (FolderAnchors, "anchors", lambda _: iter([1]), "Anchor or SkippedAnchor wanted, got int"),
    (FolderAnchors, "anchors", lambda _: iter([Anchor("x")]), "needs pixels or a text"),
    (NoNormalizer, "normalize", lambda made: made[1:], "4 pictures wanted, got 3"),
    (NoNormalizer, "normalize", lambda made: [p / 255 for p in made], "of float64 (300, 300, 3)"),
    (NoAugmenter, "augment", lambda _: [], "at least 1 pictures wanted, got 0"),
    (NoAugmenter, "augment", lambda made: [p[..., 0] for p in made], "of uint8 (300, 300)"),
    (Colours, "embed_images", lambda made: made[1:], "shape (4, 49) wanted, got (3, 49)"),
    (Colours, "embed_images", lambda made: made[:, 1:], "shape (4, 49) wanted, got (4, 48)"),
    (Colours, "embed_images", lambda made: made * 1.0 / 3, "length 1 wanted"),
    (Colours, "embed_texts", lambda made: made[:, 1:], "shape (1, 49) wanted, got (1, 48)"),
    (FolderAnchors, "anchors", lambda _: 7, "an iterable wanted, got int"),
    (FolderAnchors, "count", lambda _: "many", "a number of samples wanted, got 'many'"),
    (FolderAnchors, "identity", lambda _: of_itself(), "an identity that is no JSON: Circular"),
    (ExactScan, "shards", lambda _: -1, "a number of shards wanted, got -1"),
    (ExactScan, "take_counts", lambda _: {"a": "b"}, "a number of a wanted, got 'b'"),
    (ExactScan, "pool_model", lambda _: "tiny", "PoolModel wanted, got str"),
    (ExactScan, "search_shard", lambda made: made.ids, "neighbours of shape (4, 35) wanted"),
    (ExactScan, "lookup", lambda made: made[1:], "rows"),
    (ExactScan, "lookup", lambda made: made.select(["url"]), "without caption"),
    (HttpDownloader, "download", first, "no answer for 34 URLs"),
    (HttpDownloader, "download", lambda _: iter([Download("x", "ok")]), "not asked for"),  # type: ignore[arg-type]
    (ImageSimilarity, "score", lambda made: made[1:], "a table of 8 rows wanted, got 7"),
    (Letters, "tag", lambda made: list(made.codes), "LanguageTags wanted, got list"),
    (Letters, "tag", lambda _: LanguageTags(["en"], np.ones(1, np.float32)), "tags wanted, got 1"),
    (MinSize, "keep", lambda made: made.mask, "Verdict wanted, got ndarray"),
    (MinSize, "keep", lambda _: Verdict(np.ones(1, bool), [""]), "verdicts wanted, got 1"),
    (MinSize, "needs", lambda _: "width", "a tuple of column names wanted from needs, got 'width'"),
    (MinSize, "facts", lambda _: ["a"], "a dict wanted from facts, got list"),
    (MinSize, "facts", lambda _: of_itself(), "facts that are no JSON: Circular"),
    (Folder, "publish", lambda _: None, "str wanted, got NoneType"),
]


@pytest.mark.parametrize(("base", "method", "change", "reason"), WRONG)
def test_what_is_handed_over_is_checked(
    base: type[Component],
    method: str,
    change: Callable[[Any], Any],
    reason: str,
    run_data: dict[str, JSON],
    tmp_path: Path,
) -> None:
    message = str(run_with(returning(base, method, change), run_data, tmp_path / "run"))
    assert message.startswith(
        "'third-party' (plugin 'theirs' of their-package 1.2) broke its contract"
    )
    assert reason in message
    assert "\n" not in message


def test_the_innermost_component_is_named(run_data: dict[str, JSON], tmp_path: Path) -> None:
    """image-similarity calls the embedder: it is the embedder that is broken."""
    run_data["filters"] = []
    run_data["scorers"] = [{"use": "text-similarity"}]
    error = run_with(raising(Colours, "embed_texts"), run_data, tmp_path / "run")
    assert str(error).startswith("'third-party' (plugin 'theirs' of their-package 1.2) raised")


def test_a_stop_iteration_is_no_end_of_the_stage(run_data: dict[str, JSON], tmp_path: Path) -> None:
    """Python itself turns one that passes through a generator into a RuntimeError."""

    def stop(value: Any) -> Any:
        raise StopIteration

    error = run_with(returning(Colours, "embed_images", stop), run_data, tmp_path / "run")
    assert "'third-party' (plugin 'theirs' of their-package 1.2) raised RuntimeError" in str(error)


def test_an_error_that_does_not_say_what_it_is(run_data: dict[str, JSON], tmp_path: Path) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not today")

    def fall(value: Any) -> Any:
        raise MuteError

    error = run_with(returning(Colours, "embed_images", fall), run_data, tmp_path / "run")
    assert str(error).endswith(
        "raised MuteError: (MuteError, whose text cannot be had: RuntimeError)"
    )


def test_an_error_for_the_user_passes(run_data: dict[str, JSON], tmp_path: Path) -> None:
    def missing(value: Any) -> Any:
        raise DataError("their data is missing: fetch it from them")

    registry, table = installed(returning(NoNormalizer, "normalize", missing))
    run_data[table] = {"use": "third-party"}
    with pytest.raises(DataError, match="fetch it from them"):
        run(run_data, tmp_path / "run", registry=registry)


def test_our_own_bugs_keep_their_traceback(
    run_data: dict[str, JSON], tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("laion_eo.pipeline.runner.fingerprint", bug)
    with pytest.raises(ZeroDivisionError, match="ours"):
        run(run_data, tmp_path / "run", registry=registry)


def test_a_hook_that_raises_is_named(run_data: dict[str, JSON], tmp_path: Path) -> None:
    @hookimpl
    def laion_eo_after_batch(stage: str) -> None:
        raise KeyError(stage)

    registry = Registry.discover([colours])
    plugin = SimpleNamespace(laion_eo_after_batch=laion_eo_after_batch)
    registry.add(plugin, "dashboard", "their-dashboard 3")
    with pytest.raises(RunError) as caught:
        run(run_data, tmp_path / "run", registry=registry)
    assert str(caught.value) == (
        "the hook laion_eo_after_batch (plugin 'dashboard' of their-dashboard 3) "
        "raised KeyError: 'anchors'"
    )


def test_index_and_plan_name_it_too(run_data: dict[str, JSON], web: Path, tmp_path: Path) -> None:
    registry, _ = installed(raising(Colours, "embed_images"))
    with pytest.raises(
        RunError, match="'third-party' .*their-package 1.2. raised ZeroDivisionError"
    ):
        index(web, tmp_path / "pool", {"use": "third-party"}, registry=registry)
    registry, table = installed(raising(ExactScan, "pool_size"))
    run_data[table] = {**run_data[table], "use": "third-party"}
    with pytest.raises(
        RunError, match="'third-party' .*their-package 1.2. raised ZeroDivisionError"
    ):
        plan(run_data, tmp_path / "run", registry=registry)


def test_what_cannot_be_built_is_named(run_data: dict[str, JSON], tmp_path: Path) -> None:
    registry, table = installed(raising(NoNormalizer, "__init__"))
    run_data[table] = {"use": "third-party"}
    with pytest.raises(PluginError) as caught:
        run(run_data, tmp_path / "run", registry=registry)
    assert str(caught.value) == (
        "run: [normalizer] (normalizer 'third-party'): plugin 'theirs' of their-package 1.2 "
        "cannot build it: ZeroDivisionError: no luck today."
    )
