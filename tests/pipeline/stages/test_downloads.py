from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.hostile_files import animation, encoded, photo
from kept import unfinish

from laion_eo.errors import RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Downloader
from laion_eo.pipeline import run
from laion_eo.pipeline.stages import STAGES
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.schema import DOWNLOAD_STATUSES, DOWNLOADS
from laion_eo.testing import colours, serve_folder
from laion_eo.testing.web import RED, picture
from laion_eo.types import JSON, Download, DownloadStatus

PNG = encoded(photo(0, (48, 48)), "PNG")
PICTURE: dict[str, JSON] = {
    "content": PNG, "sha256": hashlib.sha256(PNG).hexdigest(), "format": "PNG",
    "width": 48, "height": 48,
}  # fmt: skip


class Scripted(Downloader):
    """Hands out one picture and what the test says, and notes what it was asked for."""

    name = "scripted"
    summary = "for this test"
    asked: list[list[str]]
    extra: list[Download]
    breaks_after: int | None = None

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        type(self).asked.append(list(urls))
        for number, url in enumerate(reversed(urls)):  # any order will do
            if number == self.breaks_after:
                raise RunError("the network is gone")
            first = number == 0 and len(self.asked) == 1
            gone = Download(url, DownloadStatus.HTTP_ERROR, "HTTP 404", 404)
            yield Download(url, DownloadStatus.OK, **PICTURE) if first else gone
        yield from self.extra


@pytest.fixture
def scripted() -> Registry:
    Scripted.asked, Scripted.extra, Scripted.breaks_after = [], [], None

    class Plugin:
        @hookimpl
        def laion_eo_downloaders(self) -> list[type[Downloader]]:
            return [Scripted]

    return Registry.discover([colours, Plugin()])


def test_a_broken_run_asks_only_for_what_it_has_not_heard_of(
    run_data: dict[str, JSON], scripted: Registry, tmp_path: Path
) -> None:
    run_data |= {"downloader": {"use": "scripted"}, "filters": []}
    Scripted.breaks_after = 20
    with pytest.raises(RunError, match="network is gone"):
        run(run_data, tmp_path / "run", registry=scripted)
    Scripted.breaks_after = None
    run(run_data, tmp_path / "run", registry=scripted)
    first, second = Scripted.asked
    assert set(second) == set(first) - set(first[::-1][:20])
    urls = pq.read_table(tmp_path / "run" / "downloads")["url"].to_pylist()
    assert urls == first  # in the candidates' order, whatever order they came in
    assert not list((tmp_path / "run" / "downloads").glob("journal-*"))


def test_answers_nobody_asked_for_break_the_contract(
    run_data: dict[str, JSON], scripted: Registry, tmp_path: Path
) -> None:
    run_data["downloader"] = {"use": "scripted"}
    Scripted.extra = [Download("http://other/", DownloadStatus.HTTP_ERROR, "HTTP 404", 404)]
    with pytest.raises(RunError, match=r"'scripted'.*'http://other/', which was not asked for"):
        run(run_data, tmp_path / "run", registry=scripted)


def test_images_are_not_fetched_again_when_only_the_candidates_change(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, web_url: str
) -> None:
    run_data["retriever"]["k"] = 20
    run(run_data, tmp_path / "run", registry=registry)
    before = pq.read_table(tmp_path / "run" / "downloads")
    run_data["retriever"]["k"] = 30
    run(run_data, tmp_path / "run", registry=registry)
    after = pq.read_table(tmp_path / "run" / "downloads")
    assert after.num_rows > before.num_rows
    times = dict(zip(after["url"].to_pylist(), after["fetched_at"].to_pylist(), strict=True))
    for row in before.to_pylist():
        assert times[row["url"]] == row["fetched_at"]


@pytest.mark.parametrize("left", [None, 100])
def test_an_image_that_was_lost_or_cut_is_fetched_again(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, left: int | None
) -> None:
    run_data["retriever"]["k"] = 20
    run(run_data, tmp_path / "run", registry=registry)
    row = pq.read_table(tmp_path / "run" / "downloads").to_pylist()[0]
    lost = tmp_path / "run" / "images" / row["filename"]
    content = lost.read_bytes()
    lost.unlink()
    if left:  # as a power cut may leave it
        lost.write_bytes(content[:left])
    run_data["retriever"]["k"] = 21
    run(run_data, tmp_path / "run", registry=registry)
    assert lost.read_bytes() == content


def test_the_manifest_says_how_polite_a_run_was(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run_data["downloader"] |= {"tdm_reservation": False, "per_host": 3}
    manifest = run(run_data, tmp_path / "run", registry=registry).manifest
    facts = manifest["stages"]["downloads"]["facts"]["http"]
    assert facts["user_agent"].startswith("laion-eo/")
    assert facts["politeness"] == {
        "robots_txt": True,
        "x_robots_tag": True,
        "tdm_reservation": False,
        "retry_after": True,
        "delay": 0.0,
        "per_host": 3,
    }


def test_leftovers_of_a_killed_process_are_swept(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    leftover = tmp_path / "run" / "images" / "abc.jpg.123.working"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    (tmp_path / "run" / ".lock").touch()
    run(run_data, tmp_path / "run", registry=registry)
    assert not leftover.exists()


def test_an_animation_is_kept_and_its_first_frame_scored(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, web: Path
) -> None:
    moving = web / "green00.png"
    still = moving.read_bytes()
    try:
        moving.write_bytes(animation("PNG"))
        run(run_data, tmp_path / "run", registry=registry)
    finally:
        moving.write_bytes(still)
    rows = pq.read_table(tmp_path / "run" / "downloads").to_pylist()
    [row] = [row for row in rows if row["url"].endswith("green00.png")]
    assert row["status"] == "animated"
    assert (tmp_path / "run" / "images" / row["filename"]).is_file()
    verdicts = pq.read_table(tmp_path / "run" / "verdicts")
    assert (
        verdicts.filter(verdicts["filter"].is_valid())["filter"].to_pylist().count("download") == 0
    )


def test_every_status_says_what_it_means() -> None:
    assert set(DOWNLOAD_STATUSES) == {status.value for status in DownloadStatus}
    assert all(DOWNLOAD_STATUSES.values())
    assert {"status", "http_code", "reason", "bytes", "sha256", "md5", "width", "height"} < set(
        DOWNLOADS.names
    )
    assert {"format", "fetched_at", "final_url"} < set(DOWNLOADS.names)


DAMAGES: dict[str, Callable[[bytes], bytes] | None] = {
    "removed": None,
    "zeroed": lambda content: bytes(len(content)),
    "flipped": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "of another": lambda content: content[::-1],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("unfinished", [False, True])
def test_a_damaged_image_is_fetched_again_and_nothing_else_changes(
    unfinished: bool, damage: str, run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run(run_data, out, registry=registry)
    before = {path: path.read_bytes() for path in out.glob("*/part-*")}
    row = pq.read_table(out / "downloads").to_pylist()[7]
    image = out / "images" / row["filename"]
    content = image.read_bytes()
    if unfinished:
        unfinish(out, "downloads")
    change = DAMAGES[damage]
    image.unlink()
    if change:
        image.write_bytes(change(content))
    again = run(run_data, out, registry=registry)
    assert again.ran == ["downloads"]  # the same bytes again: what was made of them stays true
    assert image.read_bytes() == content
    assert {path: path.read_bytes() for path in out.glob("*/part-*")} == before
    assert run(run_data, out, registry=registry).ran == []


def test_an_image_that_has_changed_on_the_web_is_scored_again(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, web: Path
) -> None:
    out, site = tmp_path / "run", tmp_path / "web"
    shutil.copytree(web, site)
    with serve_folder(site) as url:
        index(site, tmp_path / "pool", {"use": "colours"}, url, registry)
        run_data["retriever"]["pool"] = str(tmp_path / "pool")
        run(run_data, out, registry=registry)
        row = pq.read_table(out / "downloads").to_pylist()[0]
        (out / "images" / row["filename"]).unlink()
        picture(99, RED, 80).save(site / row["url"].rpartition("/")[2])
        again = run(run_data, out, registry=registry)
    assert again.ran == [*(stage.name for stage in STAGES[3:]), "dataset"]
    assert pq.read_table(out / "downloads").to_pylist()[0]["width"] == 80


def test_a_part_and_an_image_of_it_lost_together(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    before = run(run_data, out, registry=registry)
    dataset = {path: path.read_bytes() for path in before.dataset.rglob("*.parquet")}
    for folder in ("downloads", "images"):
        sorted((out / folder).iterdir())[0].unlink()
    run(run_data, out, registry=registry)
    assert {path: path.read_bytes() for path in before.dataset.rglob("*.parquet")} == dataset
