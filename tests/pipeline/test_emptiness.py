from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from laion_eo.component import Component
from laion_eo.errors import RunError
from laion_eo.kinds import KINDS, Downloader, Filter, Retriever, RetrieverConfig
from laion_eo.pipeline import RunResult, run, stages
from laion_eo.registry import Registry
from laion_eo.serving import serve_folder
from laion_eo.testing import colours
from laion_eo.types import JSON, Download, DownloadStatus, Embeddings, Neighbors, Verdict

Run: TypeAlias = Callable[..., RunResult]
STAGES = [stage.name for stage in stages.STAGES]


class Listed(Retriever):
    name = "listed"
    summary = "every URL of a list"

    class Config(RetrieverConfig):
        urls: tuple[str, ...]

    config: Config

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        ids = np.tile(np.arange(k, dtype=np.int64), (len(queries), 1))
        return Neighbors(np.full(ids.shape, 0.5, np.float32), ids)

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        urls = [self.config.urls[i] for i in ids]
        return pa.table({"url": urls, "caption": ["a green field" for _ in ids]})


class Nothing(Retriever):
    name = "nothing"
    summary = "finds nothing"

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        none = np.full((len(queries), k), -1, dtype=np.int64)
        return Neighbors(np.full(none.shape, -np.inf, np.float32), none)

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        none = pa.nulls(len(ids), pa.string())
        return pa.table({"url": none, "caption": none})


class Broken(Downloader):
    name = "broken"
    summary = "gives bytes that are no picture"

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        for url in urls:
            content = url.encode()
            digest = hashlib.sha256(content).hexdigest()
            about = {"content": content, "sha256": digest, "width": 9, "height": 9, "format": "PNG"}
            yield Download(url, DownloadStatus.OK, **about)  # type: ignore[arg-type]


class Picky(Filter):
    name = "picky"
    summary = "likes nothing"

    def keep(self, batch: pa.Table) -> Verdict:
        return Verdict(
            np.zeros(batch.num_rows, bool), [f"dull {n}" for n in batch["id"].to_pylist()]
        )


@pytest.fixture
def go(run_data: dict[str, JSON], tmp_path: Path) -> Run:
    """Run the small run file with other tables, in the same folder each time."""
    registry = Registry.discover([colours])
    own: list[type[Component]] = [Listed, Nothing, Broken, Picky]
    for cls in own:
        registry.add_component(next(kind for kind in KINDS if issubclass(cls, kind.base)), cls)

    def start(**tables: JSON) -> RunResult:
        return run({**run_data, **tables}, tmp_path / "run", registry=registry)

    return start


@pytest.fixture
def nothing(go: Run, tmp_path: Path) -> Callable[..., str]:
    """Run and get nothing: the message; what is there, and what is not, is checked."""

    def fail(at: str, **tables: JSON) -> str:
        with pytest.raises(RunError) as caught:
            go(**tables)
        message = str(caught.value)
        assert message.startswith(f"{at}: ")
        assert "\n" not in message
        folder = tmp_path / "run"
        assert not (folder / "dataset").exists()
        records = {path.stem for path in (folder / ".stages").glob("*.json")}
        done = STAGES[: STAGES.index(at)]
        assert set(done) <= records
        assert not (set(STAGES) - set(done)) & records
        assert not list((folder / at).glob("part-*"))
        return message

    return fail


def listed(*urls: str) -> dict[str, JSON]:
    """Return a retriever of these URLs."""
    return {"use": "listed", "urls": list(urls), "k": len(urls)}


HTTP: dict[str, JSON] = {"use": "http", "retries": 0, "delay": 0.0, "contact": "me@example.org"}
HERE = {**HTTP, "allow_hosts": ["127.0.0.1"]}


def test_no_neighbour_at_all(nothing: Callable[..., str], go: Run) -> None:
    message = nothing("neighbors", retriever={"use": "nothing"})
    assert "the retriever 'nothing' found no neighbour of any anchor" in message
    assert go().ran == ["neighbors", "candidates", *STAGES[3:], "dataset"]


def test_hosts_that_the_run_does_not_allow(nothing: Callable[..., str], go: Run) -> None:
    message = nothing("downloads", downloader=HTTP)
    assert "not one of 35 images was fetched: 35 refused-address (for example: " in message
    assert '[downloader] allow_hosts = ["127.0.0.1"]' in message
    assert go().ran == [*STAGES[3:], "dataset"]


def test_the_same_command_asks_again(
    nothing: Callable[..., str], go: Run, web: Path, tmp_path: Path
) -> None:
    with serve_folder(tmp_path) as url:
        found = listed(*(f"{url}green{n:02d}.png" for n in range(3)))
        message = nothing("downloads", retriever=found, downloader=HERE)
        assert "3 http-error" in message
        assert "404" in message
        for path in web.glob("green0[0-2].png"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        done = go(retriever=found, downloader=HERE)
    assert done.ran[0] == "downloads"
    assert done.manifest["stages"]["downloads"]["counts"] == {"urls": 3, "ok": 3}
    assert done.manifest["stages"]["dataset"]["counts"]["rows"] > 0


@pytest.mark.parametrize(
    ("url", "outcome", "advice"),
    [
        ("http://127.0.0.1:9/a.jpg", "2 unreachable", "is there a network here?"),
        ("http://a.invalid/a.jpg", "2 dns-error", "is there a network here?"),
        ("file:///a.jpg", "2 bad-url", "allow_files = true"),
        ("http://169.254.169.254/a", "2 refused-address", 'allow_hosts = ["169.254.169.254"]'),
        ("http://[/", "2 bad-url", "are not http or https"),
    ],
)
def test_why_nothing_was_fetched(
    url: str, outcome: str, advice: str, nothing: Callable[..., str]
) -> None:
    found = listed(url, f"{url}2")
    message = nothing("downloads", retriever=found, downloader=HERE)
    assert f"not one of 2 images was fetched: {outcome}" in message
    assert advice in message


def test_rules_of_the_sites(nothing: Callable[..., str], tmp_path: Path, web: Path) -> None:
    (tmp_path / "robots.txt").write_text("User-agent: *\nDisallow: /")
    with serve_folder(tmp_path) as url:
        found = listed(f"{url}green00.png")
        message = nothing("downloads", retriever=found, downloader=HERE)
    assert "1 robots-txt" in message
    assert "the sites do not allow it" in message


def test_an_allow_list_of_another_pool(nothing: Callable[..., str], tmp_path: Path) -> None:
    listed = tmp_path / "listed.parquet"
    pq.write_table(pa.table({"url": ["http://a.example/"]}), listed)
    message = nothing("downloads", downloader={**HERE, "allow_list": str(listed)})
    assert "35 not-allowed" in message
    assert "[downloader] allow_list lists nothing that was found" in message


def test_images_that_nothing_decodes(nothing: Callable[..., str], go: Run) -> None:
    message = nothing("scores", downloader={"use": "broken"})
    assert "not one of 35 images that were fetched could be decoded" in message
    assert go().ran[0] == "downloads"


def test_a_threshold_that_nothing_reaches(nothing: Callable[..., str], go: Run) -> None:
    strict = [{"use": "min-size"}, {"use": "similarity-threshold", "image": 1.0, "text": -1.0}]
    message = nothing("verdicts", filters=strict)
    assert (
        "not one of 35 images was kept: dropped by min-size 1, similarity-threshold 34" in message
    )
    best = message.partition("image_similarity ")[2].split()[0]
    done = go()
    assert done.ran == ["verdicts", "dataset"]
    images = pa.concat_tables(map(pq.read_table, (done.folder / "scores").glob("*.parquet")))
    big = images["image_similarity"].to_pylist()
    assert float(best) in sorted((round(score, 4) for score in big), reverse=True)[:2]


def test_pictures_that_are_all_too_small(nothing: Callable[..., str]) -> None:
    message = nothing("verdicts", filters=[{"use": "min-size", "width": 999}])
    assert "dropped by min-size 35" in message
    assert "'300 x 300 is below 999 x 999'" in message


def test_several_filters_of_a_name(nothing: Callable[..., str]) -> None:
    wide = {"use": "column", "column": "width", "min": 200}
    other = {"use": "column", "column": "lang", "one_of": ["fr"]}
    message = nothing("verdicts", filters=[wide, other])
    assert "not one of 35 images was kept: dropped by column 35; of 'column', one was" in message


def test_a_filter_of_a_plugin(nothing: Callable[..., str]) -> None:
    message = nothing("verdicts", filters=[{"use": "picky"}])
    assert "not one of 35 images was kept: dropped by picky 35" in message
    assert "'dull " in message


def test_little_is_not_nothing(go: Run) -> None:
    few = go(filters=[{"use": "similarity-threshold", "image": -1.0, "text": -1.0}])
    counts = few.manifest["stages"]["dataset"]["counts"]
    assert counts["rows"] == 35


def test_an_earlier_dataset_stays_what_it_was(go: Run, tmp_path: Path) -> None:
    first = go()
    before = {path: path.read_bytes() for path in first.dataset.rglob("*.*") if path.is_file()}
    with pytest.raises(RunError, match="verdicts: not one of 35 images was kept"):
        go(filters=[{"use": "picky"}])
    assert {path: path.read_bytes() for path in before} == before
    assert go().ran == []
