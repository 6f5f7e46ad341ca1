from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.filters.allow_list import AllowListFilter
from laion_eo.builtin.hash_lists import AllowList, HashList
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.types import JSON, DownloadStatus


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listed(folder: Path, **columns: Sequence[str | None]) -> Path:
    pq.write_table(pa.table(columns), folder / "list.parquet")
    return folder / "list.parquet"


def download(urls: list[str], **options: JSON) -> dict[str, DownloadStatus]:
    config = {"allow_hosts": ["127.0.0.1"], "delay": 0.0, **options}
    downloader = HttpDownloader(HttpDownloader.Config.model_validate(config), Context())
    return {got.url: got.status for got in downloader.download(urls)}


def test_urls_off_the_list_are_never_asked_for(web_url: str, tmp_path: Path) -> None:
    one, other = f"{web_url}green00.png", f"{web_url}no-such-file.png"
    got = download([one, other], allow_list=listed(tmp_path, url=[one, None]))
    # A request would have ended as http-error.
    assert got == {one: DownloadStatus.OK, other: DownloadStatus.NOT_ALLOWED}


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_contents_off_the_list_are_not_kept(
    web: Path, web_url: str, tmp_path: Path, name: str
) -> None:
    digest = {"md5": md5, "sha256": sha256}[name]((web / "green01.png").read_bytes())
    one, other = f"{web_url}green01.png", f"{web_url}green02.png"
    got = download([one, other], allow_list=listed(tmp_path, **{name: [digest.upper()]}))
    assert got == {one: DownloadStatus.OK, other: DownloadStatus.NOT_ALLOWED}


def test_blocked_urls_are_not_fetched_and_blocked_contents_not_kept(
    web: Path, web_url: str, tmp_path: Path
) -> None:
    urls = [f"{web_url}{name}.png" for name in ("no-such-file", "green03", "green04", "green05")]
    blocked = tmp_path / "block.txt"
    blocked.write_text(
        f"# comment\n{md5(urls[0].encode())}\n\n{sha256((web / 'green03.png').read_bytes())}\n"
        f"{md5((web / 'green04.png').read_bytes()).upper()}  # upper case\n"
    )
    got = download(urls, block_list=blocked)
    assert list(got.values()).count(DownloadStatus.BLOCKED) == 3
    assert got[urls[3]] is DownloadStatus.OK


def test_lists_of_another_shape_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "block.txt"
    bad.write_text("d41d8cd98f00b204e9800998ecf8427e\nhello\n")
    with pytest.raises(DataError, match=r"block\.txt, line 2: an MD5 or a SHA-256"):
        HashList.from_text(bad)
    with pytest.raises(DataError, match="needs a column url, md5 or sha256; it has name"):
        _ = AllowList(listed(tmp_path, name=["x"])).column
    with pytest.raises(DataError, match="no such allow-list"):
        AllowList(tmp_path / "nowhere.parquet")


def test_a_folder_is_one_list(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        listed(tmp_path / str(number), url=[f"http://x/{number}"])
    assert AllowList(tmp_path).matching(["http://x/2", "http://x/9"]) == {"http://x/2"}


def test_hash_list_holds_what_it_was_given() -> None:
    digests = [md5(bytes([n])) for n in range(200)]
    held = HashList(md5=digests[:100])
    assert [held.has(digest) for digest in digests] == [True] * 100 + [False] * 100
    assert not held.has(sha256(b""))


def test_filter_judges_by_the_column_that_the_list_has(tmp_path: Path) -> None:
    path = listed(tmp_path, md5=["AA", "bb"])
    judge = AllowListFilter(AllowListFilter.Config(path=path), Context())
    table = pa.table({"id": [1, 2, 3], "url": ["a", "b", "c"], "md5": ["aa", "cc", None]})
    judge.fit(table)
    verdict = judge.keep(table)
    assert verdict.mask.tolist() == [True, False, False]
    assert verdict.reasons[1] == "md5 cc is not listed"


def test_pool_from_before_re_laion_needs_a_list_or_a_reason(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, web_url: str
) -> None:
    run_data["retriever"]["before_re_laion"] = True
    with pytest.raises(ConfigError, match="made before Re-LAION"):
        run(run_data, tmp_path / "run", registry=registry)
    assert not (tmp_path / "run").exists()  # nothing was fetched, or even begun
    run_data["downloader"]["allow_list"] = str(listed(tmp_path, url=[f"{web_url}green07.png"]))
    counts = run(run_data, tmp_path / "run", registry=registry).manifest["stages"]["downloads"]
    assert counts["counts"]["ok"] == 1
    assert counts["counts"]["not-allowed"] == counts["counts"]["urls"] - 1


def test_the_reason_to_do_without_is_recorded(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run_data["retriever"] |= {"before_re_laion": True, "no_allow_list_because": "made by us"}
    run(run_data, tmp_path / "run", registry=registry)
    assert 'no_allow_list_because = "made by us"' in (tmp_path / "run/run.toml").read_text()
    assert "made by us" in (tmp_path / "run/manifest.json").read_text()


def test_a_pool_can_mark_itself(
    run_data: dict[str, JSON], registry: Registry, pool: Path, tmp_path: Path
) -> None:
    marked = tmp_path / "pool"
    marked.mkdir()
    for name in ("img_emb", "metadata"):
        (marked / name).symlink_to(pool / name)
    (marked / "index.json").write_text('{"before_re_laion": true}')
    run_data["retriever"]["pool"] = str(marked)
    with pytest.raises(ConfigError, match="made before Re-LAION"):
        run(run_data, tmp_path / "run", registry=registry)
