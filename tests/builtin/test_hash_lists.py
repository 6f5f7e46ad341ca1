from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import Loopback, site

from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.filters.allow_list import AllowListFilter
from laion_eo.builtin.hash_lists import AllowList, HashList
from laion_eo.component import Context
from laion_eo.digests import HashedBytes
from laion_eo.errors import ConfigError, DataError
from laion_eo.kinds import FitData
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.types import JSON, DownloadStatus


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listed(folder: Path, **columns: pa.Array | Sequence[JSON]) -> Path:
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


NULLS = pa.array([None, None], pa.string())
EMPTY: dict[str, dict[str, JSON]] = {
    "no rows of urls": {"url": pa.array([], pa.string())},
    "no rows of md5": {"md5": pa.array([], pa.string())},
    "no rows of sha256": {"sha256": pa.array([], pa.binary(32))},
    "no urls": {"url": NULLS},
    "no md5": {"md5": NULLS},
    "no sha256": {"sha256": pa.array([None], pa.null())},
    "blank urls": {"url": ["", None]},
    "blank digests": {"md5": ["  ", ""]},
    "md5 beside urls": {"url": NULLS, "md5": ["0" * 32, "1" * 32]},
}


@pytest.fixture(params=EMPTY)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An allow-list that allows nothing."""
    return listed(tmp_path, **EMPTY[request.param])


def test_an_empty_allow_list_stops_the_download_before_any_request(
    empty: Path, web: Path, web_url: str
) -> None:
    urls = [f"{web_url}{path.name}" for path in sorted(web.glob("*.png"))]
    seen = []
    with pytest.raises(DataError, match="the allow-list is empty, .*nothing could be downloaded"):
        for got in HttpDownloader(
            HttpDownloader.Config(allow_hosts=("127.0.0.1",), allow_list=empty), Context()
        ).download(urls):
            seen.append(got)  # noqa: PERF402 - what came before the error
    assert seen == []


def test_an_empty_allow_list_stops_the_filter(empty: Path) -> None:
    judge = AllowListFilter(AllowListFilter.Config(path=empty), Context())
    with pytest.raises(DataError, match="the allow-list is empty"):
        judge.fit(FitData(pa.table({"url": ["a"], "md5": ["0" * 32], "sha256": ["0" * 64]})))


@pytest.mark.parametrize("name", ["url", "md5", "sha256"])
def test_a_list_without_rows_is_refused_when_a_run_is_planned(tmp_path: Path, name: str) -> None:
    for number in range(2):
        pq.write_table(pa.table({name: pa.array([], pa.string())}), tmp_path / f"{number}.parquet")
    with pytest.raises(DataError, match="the allow-list is empty, it has no rows"):
        HttpDownloader(HttpDownloader.Config(allow_list=tmp_path), Context()).identity()
    with pytest.raises(DataError, match="the allow-list is empty, it has no rows"):
        AllowListFilter(AllowListFilter.Config(path=tmp_path), Context()).identity()


def test_parts_without_rows_do_not_make_a_list_empty(tmp_path: Path) -> None:
    for number, urls in enumerate([[], ["http://x/1"], []]):
        table = pa.table({"url": pa.array(urls, pa.string())})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    assert AllowList(tmp_path).matching(["http://x/1", "http://x/2"]) == {"http://x/1"}


def test_the_fetcher_keeps_nothing_where_nothing_is_allowed() -> None:
    """Whoever makes an empty list: it never means that everything is allowed."""

    async def fetch(port: int, allowed: HashList | None) -> DownloadStatus:
        options = HttpOptions(delay=0.0, robots_txt=False, tdm_reservation=False)
        async with (
            Client(options, RateLimits(8, 8, 0.0), Loopback(())) as client,
            MemoryBudget(8, 2**20).reservation() as reservation,
        ):
            fetcher = Fetcher(client, HashList(), allowed)
            return (await fetcher.fetch(f"http://x.test:{port}/a.jpg", reservation)).status

    with site() as served:
        statuses = [asyncio.run(fetch(served.port, one)) for one in (HashList(), None)]
    assert statuses == [DownloadStatus.NOT_ALLOWED, DownloadStatus.OK]


Spelling = Callable[[str], pa.Array]
SPELLINGS: dict[str, Spelling] = {
    "upper case": lambda digest: pa.array([digest.upper()]),
    "spaces around": lambda digest: pa.array([f" {digest}\t\n"]),
    "large strings": lambda digest: pa.array([digest], pa.large_string()),
    "a dictionary": lambda digest: pa.array([digest, None, digest]).dictionary_encode(),
    "hex in binary": lambda digest: pa.array([digest.upper().encode()], pa.binary()),
    "raw binary": lambda digest: pa.array([bytes.fromhex(digest), None], pa.large_binary()),
    "raw binary of one length": lambda digest: pa.array(
        [bytes.fromhex(digest)], pa.binary(len(digest) // 2)
    ),
    "a prefix": lambda digest: pa.array(
        [f"{'MD5' if len(digest) == 32 else 'sha256'}:{digest}", None]
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", ["md5", "sha256", "MD5", "Sha256"])
def test_a_digest_may_be_spelt_in_many_ways(tmp_path: Path, name: str, spelling: str) -> None:
    """However it is: what it stands for is allowed, and nothing else."""
    digest = {"md5": md5, "sha256": sha256}[name.lower()]
    values = SPELLINGS[spelling](digest(b"one"))
    allowed = AllowList(listed(tmp_path, **{name: values, "other": ["x"] * len(values)}))
    assert allowed.column == name.lower()
    hashes = allowed.hashes()
    assert hashes.has(HashedBytes(b"one"))
    assert not hashes.has(HashedBytes(b"two"))
    assert allowed.matching([digest(b"one"), digest(b"two")]) == {digest(b"one")}


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["http://x/1"], pa.large_string()),
        pa.array(["http://x/1", None, "http://x/1"]).dictionary_encode(),
        pa.array([b"http://x/1"], pa.binary()),
    ],
    ids=["large strings", "a dictionary", "binary"],
)
@pytest.mark.parametrize("name", ["url", "URL", "Url"])
def test_a_url_may_have_any_type_of_text(tmp_path: Path, name: str, values: pa.Array) -> None:
    allowed = AllowList(listed(tmp_path, **{name: values}))
    assert allowed.matching(["http://x/1", "http://x/2", "http://X/1"]) == {"http://x/1"}


BAD: list[tuple[dict[str, JSON], str]] = [
    ({"name": ["x"]}, r"needs a column url, md5 or sha256; it has name"),
    ({"md5": ["0" * 31]}, "32 hex digits wanted in the column md5 .*, got '0{31}'"),
    ({"md5": ["0" * 64]}, "32 hex digits wanted"),
    ({"sha256": ["0" * 64, "x" * 64]}, "64 hex digits wanted .* got 'x{64}'"),
    ({"sha256": ["sha1:" + "0" * 40]}, "64 hex digits wanted"),
    ({"sha256": ["md5:" + "0" * 64]}, "64 hex digits wanted"),
    ({"md5": ["0" * 31 + "\u0130"]}, "32 hex digits wanted"),
    ({"md5": ["0" * 31 + "\uff11"]}, "32 hex digits wanted"),
    ({"md5": ["0" * 16 + "\n" + "0" * 15]}, "32 hex digits wanted"),
    ({"md5": [b"\xff" * 15]}, "32 hex digits wanted"),
    ({"md5": [12345]}, "text wanted in the column md5 of an allow-list, got int64"),
    ({"md5": [["0" * 32]]}, "text wanted in the column md5 of an allow-list, got list"),
    ({"url": [1.5]}, "text wanted in the column url"),
    ({"url": [b"http://x/\xff"]}, "not a readable part of the allow-list"),
    ({"md5": ["0" * 32], "MD5": ["1" * 32]}, "which column is the md5: md5, MD5"),
]


@pytest.mark.parametrize(("columns", "message"), BAD)
def test_an_allow_list_of_another_shape_is_one_line(
    tmp_path: Path, columns: dict[str, JSON], message: str
) -> None:
    path = listed(tmp_path, **columns)
    download = HttpDownloader(HttpDownloader.Config(allow_list=path), Context()).download
    with pytest.raises(DataError, match=rf"list\.parquet: .*{message}") as caught:
        list(download(["http://127.0.0.1:1/"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" * 99])
def test_files_that_are_no_parquet_are_one_line(tmp_path: Path, content: bytes) -> None:
    pq.write_table(pa.table({"md5": ["0" * 32]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.parquet: not a readable part") as caught:
        AllowList(tmp_path).hashes()
    assert "\n" not in str(caught.value)


def test_a_damaged_page_is_one_line(tmp_path: Path) -> None:
    path = listed(tmp_path, md5=[md5(bytes([n])) for n in range(200)])
    content = bytearray(path.read_bytes())
    content[20:4000] = b"\xff" * 3980
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable part"):
        AllowList(path).hashes()


def test_parts_are_matched_on_the_same_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"md5": ["0" * 32]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"url": ["http://x/"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: .* has the column url, but .*a\.parquet"):
        AllowList(tmp_path).hashes()


CONTENTS = [bytes([n]) for n in range(8)]
DIGESTS = [md5(content) for content in CONTENTS]
odd_digests = st.one_of(
    st.none(),
    st.sampled_from(DIGESTS),
    st.sampled_from(DIGESTS).map(str.upper),
    st.sampled_from(DIGESTS).map("md5:{} ".format),
    st.sampled_from(DIGESTS).flatmap(lambda d: st.integers(0, 40).map(lambda n: d[:n])),
    st.text(max_size=40),
)


@settings(deadline=None, derandomize=True)
@given(st.lists(odd_digests, max_size=6))
def test_whatever_a_list_holds_it_allows_that_or_is_refused(values: list[str | None]) -> None:
    """The contents whose digests are in there, in any spelling; never one more."""
    named = {(value or "").strip().lower().removeprefix("md5:").strip() for value in values}
    with tempfile.TemporaryDirectory() as folder:
        path = listed(Path(folder), md5=pa.array(values, pa.string()))
        try:
            hashes = AllowList(path).hashes()
        except DataError as error:
            assert "\n" not in str(error)
            assert named <= {""} or not named <= {"", *DIGESTS}
            return
    allowed = {digest for content, digest in zip(CONTENTS, DIGESTS, strict=True)
               if hashes.has(HashedBytes(content))}  # fmt: skip
    assert allowed == named & set(DIGESTS) != set()


def test_a_missing_allow_list_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.parquet", tmp_path):
        with pytest.raises(DataError, match="no such allow-list"):
            AllowList(path)


def test_a_folder_is_one_list(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        listed(tmp_path / str(number), url=[f"http://x/{number}"])
    assert AllowList(tmp_path).matching(["http://x/2", "http://x/9"]) == {"http://x/2"}


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n", "\ufeff"])
def test_an_empty_block_list_blocks_nothing(web_url: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "block.txt").write_text(text)
    url = f"{web_url}green00.png"
    assert download([url], block_list=tmp_path / "block.txt") == {url: DownloadStatus.OK}


@pytest.mark.parametrize(
    "text", ["hello\n", "0" * 31, "0" * 33, "g" * 32, "d41d8cd98f00b204e9800998ecf8427e\nhello\n"]
)
def test_a_line_that_is_no_digest_is_named(tmp_path: Path, text: str) -> None:
    bad = tmp_path / "block.txt"
    bad.write_text(text)
    line = len(text.splitlines())
    with pytest.raises(DataError, match=rf"block\.txt, line {line}: an MD5 or a SHA-256"):
        HashList.from_text(bad)


def test_a_block_list_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "block.txt").write_text(md5(b"x"), encoding="utf-8-sig")
    assert HashList.from_text(tmp_path / "block.txt").has(HashedBytes(b"x"))


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_hash_list_holds_what_it_was_given(name: str) -> None:
    contents = [HashedBytes(bytes([n])) for n in range(200)]
    digests = [getattr(content, name) for content in contents]
    held = HashList(**{name: digests[:100]})
    assert [held.has(content) for content in contents] == [True] * 100 + [False] * 100
    assert not HashList().has(contents[0])


def test_filter_judges_by_the_column_that_the_list_has(tmp_path: Path) -> None:
    path = listed(tmp_path, md5=["A" * 32, "b" * 32])
    judge = AllowListFilter(AllowListFilter.Config(path=path), Context())
    digests = ["a" * 32, "c" * 32, None]
    table = pa.table({"id": [1, 2, 3], "url": ["a", "b", "c"], "md5": digests})
    judge.fit(FitData(table))
    verdict = judge.keep(table)
    assert verdict.mask.tolist() == [True, False, False]
    assert verdict.reasons[1] == f"md5 {'c' * 32} is not listed"


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


@pytest.mark.parametrize("name", ["url", "md5", "sha256"])
def test_a_run_with_an_empty_allow_list_downloads_nothing(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, name: str
) -> None:
    run_data["retriever"]["before_re_laion"] = True
    run_data["downloader"]["allow_list"] = str(listed(tmp_path, **{name: NULLS[:0]}))
    with pytest.raises(DataError, match="the allow-list is empty"):
        run(run_data, tmp_path / "run", registry=registry)
    assert not list((tmp_path / "run").glob("images/*"))


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
