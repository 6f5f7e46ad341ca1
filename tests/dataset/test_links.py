from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.dataset.links import CheckedLink, LinkReport, check_links
from laion_eo.errors import ConfigError, DataError
from laion_eo.fingerprint import file_sha256
from laion_eo.kinds import KINDS, Downloader
from laion_eo.pipeline import RunResult
from laion_eo.registry import Registry
from laion_eo.schema import LINKS
from laion_eo.serving import serve_folder
from laion_eo.types import Download

HTTP = {"allow_hosts": ["127.0.0.1"], "retries": 0}


@pytest.fixture
def dataset(web: Path, web_url: str, tmp_path: Path) -> Path:
    """Three links: one alive, one that now shows another image, one gone."""
    same, other = file_sha256(web / "green00.png"), "0" * 64
    rows = [
        {"url": f"{web_url}green00.png", "filename": f"{same}.png"},
        {"url": f"{web_url}green01.png", "filename": f"{other}.png"},
        {"url": f"{web_url}gone.png", "filename": f"{other}.png"},
    ]
    (tmp_path / "data" / "ver-0").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "ver-0" / "train.parquet")
    return tmp_path / "data"


def test_each_link_gets_a_dated_status(dataset: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*.parquet")}
    report = check_links(dataset, tmp_path / "links.parquet", downloader=HTTP)
    table = pq.read_table(report.path)
    assert table.schema == LINKS
    found = {row["url"].rsplit("/", 1)[1]: row for row in table.to_pylist()}
    assert {name: (row["status"], row["changed"]) for name, row in found.items()} == {
        "green00.png": ("ok", False),
        "green01.png": ("ok", True),
        "gone.png": ("http-error", None),
    }
    assert table["checked_at"].null_count == 0
    assert [(end.status, end.http_code, end.links) for end in report.outcomes] == [
        ("ok", 200, 2),
        ("http-error", 404, 1),
    ]
    assert "404" in report.outcomes[1].example
    assert report.changed == 1
    assert before == {path: path.read_bytes() for path in dataset.rglob("*.parquet")}
    assert [path.name for path in tmp_path.glob("*links*")] == ["links.parquet"]


class Interrupted(HttpDownloader):
    """Records the files that it is asked for, and is interrupted at the first gone.png."""

    name = "interrupted"
    asked: ClassVar[list[str]] = []

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        names = [url.rpartition("/")[2] for url in urls]
        interrupt = "gone.png" in names and "gone.png" not in self.asked
        self.asked.extend(names)
        if interrupt:
            raise KeyboardInterrupt
        yield from super().download(urls)


@pytest.fixture
def interrupted() -> Registry:
    """The built-in components, and the downloader that is interrupted once."""
    Interrupted.asked.clear()
    registry = Registry.discover()
    kind = next(kind for kind in KINDS if kind.base is Downloader)
    registry.add_component(kind, Interrupted)
    return registry


def check(dataset: Path, out: Path, registry: Registry) -> LinkReport:
    """Check one link at a time, by the downloader that is interrupted once."""
    return check_links(
        dataset, out, downloader=HTTP | {"use": "interrupted"}, registry=registry, batch=1
    )


def test_interrupted_check_resumes(dataset: Path, tmp_path: Path, interrupted: Registry) -> None:
    out = tmp_path / "links.parquet"
    with pytest.raises(KeyboardInterrupt):
        check(dataset, out, interrupted)
    assert not out.exists()
    report = check(dataset, out, interrupted)
    assert sum(outcome.links for outcome in report.outcomes) == 3
    # Only the link that was interrupted is fetched again.
    assert Interrupted.asked == ["green00.png", "green01.png", "gone.png", "gone.png"]


@pytest.mark.parametrize("content", [b"", b"PAR1", bytes(900)])
def test_damaged_results_are_checked_again(
    content: bytes, dataset: Path, tmp_path: Path, interrupted: Registry
) -> None:
    out = tmp_path / "links.parquet"
    with pytest.raises(KeyboardInterrupt):
        check(dataset, out, interrupted)
    kept = sorted(tmp_path.glob(".links.parquet.*.parts/*"))
    assert len(kept) == 2
    kept[0].write_bytes(content)
    report = check(dataset, out, interrupted)
    assert sum(outcome.links for outcome in report.outcomes) == 3
    assert Interrupted.asked == [
        "green00.png",
        "green01.png",
        "gone.png",
        "green00.png",
        "gone.png",
    ]


def test_check_of_other_links_starts_over(
    dataset: Path, tmp_path: Path, interrupted: Registry
) -> None:
    out = tmp_path / "links.parquet"
    with pytest.raises(KeyboardInterrupt):
        check(dataset, out, interrupted)
    rows = pq.read_table(dataset / "ver-0" / "train.parquet").slice(1)
    pq.write_table(rows, tmp_path / "other.parquet")
    check(tmp_path / "other.parquet", out, interrupted)
    assert pq.read_table(out)["url"].to_pylist() == rows["url"].to_pylist()


def test_results_have_the_columns_of_the_schema() -> None:
    assert [field.name for field in fields(CheckedLink)] == LINKS.names


@pytest.mark.parametrize(
    ("filename", "height", "width", "changed"),
    [
        ("", None, None, None),
        ("green.png", None, None, None),
        ("green.png", 300, None, None),
        ("green.png", 300, 300, False),
        ("green.png", 300, 299, True),
        (f"{'0' * 64}.png", 300, 300, True),
    ],
)
def test_another_image_is_found_by_its_hash_or_its_size(
    web_url: str, tmp_path: Path, filename: str, height: int, width: int, changed: bool
) -> None:
    row = {"url": f"{web_url}green00.png", "filename": filename, "height": height, "width": width}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    report = check_links(tmp_path / "x.parquet", tmp_path / "links.parquet", downloader=HTTP)
    assert pq.read_table(report.path)["changed"].to_pylist() == [changed]


def test_robots_txt_is_obeyed(web: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.png").write_bytes((web / "green00.png").read_bytes())
    (tmp_path / "site" / "robots.txt").write_text("User-agent: *\nDisallow: /\n")
    with serve_folder(tmp_path / "site") as url:
        pq.write_table(pa.table({"url": [f"{url}a.png"]}), tmp_path / "x.parquet")
        report = check_links(tmp_path / "x.parquet", tmp_path / "links.parquet", downloader=HTTP)
    assert [(end.status, end.links) for end in report.outcomes] == [("robots-txt", 1)]


def test_run_directory_is_a_dataset(finished_run: RunResult, tmp_path: Path) -> None:
    report = check_links(finished_run.folder, tmp_path / "links.parquet", downloader=HTTP)
    assert [(end.status, end.links) for end in report.outcomes] == [("ok", 30)]
    assert report.changed == 0


def test_nothing_is_overwritten(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "there.parquet").touch()
    with pytest.raises(ConfigError, match="a report is never overwritten"):
        check_links(dataset, tmp_path / "there.parquet")
    with pytest.raises(ConfigError, match="lies in the dataset"):
        check_links(dataset, dataset / "ver-0" / "links.parquet")


def test_other_data_than_a_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "links.parquet"
    shutil.copytree(dataset / "ver-0", dataset / "ver-1")
    with pytest.raises(ConfigError, match="several configurations, name one: ver-0, ver-1"):
        check_links(dataset, out)
    with pytest.raises(ConfigError, match="no parquet files in it for ver-9"):
        check_links(dataset, out, config="ver-9")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no column 'url'; its columns are a"):
        check_links(tmp_path / "x.parquet", out)
