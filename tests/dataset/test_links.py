from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.dataset.links import check_links
from laion_eo.errors import ConfigError, DataError
from laion_eo.fingerprint import file_sha256
from laion_eo.pipeline import RunResult
from laion_eo.schema import LINKS
from laion_eo.serving import serve_folder

HTTP = {"allow_hosts": ["127.0.0.1"], "retries": 0}


@pytest.fixture
def dataset(web: Path, web_url: str, tmp_path: Path) -> Path:
    """Three links: one alive, one to another image by now, one gone."""
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
    assert report.counts == {("ok", 200): 2, ("http-error", 404): 1}
    assert report.changed == 1
    assert before == {path: path.read_bytes() for path in dataset.rglob("*.parquet")}
    assert [path.name for path in tmp_path.glob("*links*")] == ["links.parquet"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The links that the downloader is asked for, one at a time."""
    from laion_eo.builtin.downloaders.http.downloader import HttpDownloader

    urls: list[str] = []
    real = HttpDownloader.download

    def listening(self: HttpDownloader, batch: list[str]) -> object:
        if batch[0].endswith("gone.png") and "gone" not in urls:
            urls.append("gone")
            raise KeyboardInterrupt
        urls.extend(batch)
        return real(self, batch)

    monkeypatch.setattr("laion_eo.dataset.links.BATCH", 1)
    monkeypatch.setattr(HttpDownloader, "download", listening)
    return urls


def test_interrupted_check_goes_on(dataset: Path, tmp_path: Path, asked: list[str]) -> None:
    out = tmp_path / "links.parquet"
    with pytest.raises(KeyboardInterrupt):
        check_links(dataset, out, downloader=HTTP)
    assert not out.exists()
    report = check_links(dataset, out, downloader=HTTP)
    assert sum(report.counts.values()) == 3
    ends = [url.rpartition("/")[2] for url in asked]
    assert ends == ["green00.png", "green01.png", "gone", "gone.png"]  # nothing twice


def test_check_of_other_links_begins_anew(dataset: Path, tmp_path: Path, asked: list[str]) -> None:
    out = tmp_path / "links.parquet"
    with pytest.raises(KeyboardInterrupt):
        check_links(dataset, out, downloader=HTTP)
    rows = pq.read_table(dataset / "ver-0" / "train.parquet").slice(1)
    pq.write_table(rows, tmp_path / "other.parquet")
    check_links(tmp_path / "other.parquet", out, downloader=HTTP)
    assert pq.read_table(out)["url"].to_pylist() == rows["url"].to_pylist()


def test_sites_are_asked_for_leave(web: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.png").write_bytes((web / "green00.png").read_bytes())
    (tmp_path / "site" / "robots.txt").write_text("User-agent: *\nDisallow: /\n")
    with serve_folder(tmp_path / "site") as url:
        pq.write_table(pa.table({"url": [f"{url}a.png"]}), tmp_path / "x.parquet")
        report = check_links(tmp_path / "x.parquet", tmp_path / "links.parquet", downloader=HTTP)
    assert report.counts == {("robots-txt", None): 1}


def test_run_directory_is_a_dataset(finished_run: RunResult, tmp_path: Path) -> None:
    report = check_links(finished_run.folder, tmp_path / "links.parquet", downloader=HTTP)
    assert report.counts == {("ok", 200): 30}
    assert report.changed == 0


def test_nothing_is_overwritten(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "there.parquet").touch()
    with pytest.raises(ConfigError, match="a report is never overwritten"):
        check_links(dataset, tmp_path / "there.parquet")
    with pytest.raises(ConfigError, match="lies in the dataset"):
        check_links(dataset, dataset / "ver-0" / "links.parquet")


def test_what_is_no_dataset_is_said(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "links.parquet"
    shutil.copytree(dataset / "ver-0", dataset / "ver-1")
    with pytest.raises(ConfigError, match="several configurations, name one: ver-0, ver-1"):
        check_links(dataset, out)
    with pytest.raises(ConfigError, match="no parquet files in there for ver-9"):
        check_links(dataset, out, config="ver-9")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no column 'url'; its columns are a"):
        check_links(tmp_path / "x.parquet", out)
