"""Rows whose URL may not be published stop a release, or are left out of all that it says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun, made_rows, with_urls
from releases import REPO, files, head, publish, record_again, release_made

from laion_eo.builtin.publishers.hf_hub import HfHub
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.dataset.tree import write_tree
from laion_eo.errors import DataError
from laion_eo.file_record import record_file
from laion_eo.hub.card_numbers import Numbers
from laion_eo.hub.cards import CardHead, join_card, mark_section
from laion_eo.hub.history import RELEASES
from laion_eo.hub.releasing import HubPlan
from laion_eo.integrity.release import find_release
from laion_eo.kinds import Release
from laion_eo.testing.suites.publisher import make_release

SHARD = "ver-0/train-00000-of-00001.parquet"
BAD = {
    1: "http://127.0.0.1:8000/a.jpg",
    4: "https://me:sEcReT@example.org/a.jpg",
    5: "file:///home/me/a.jpg",
    9: "https://example.org/a.jpg?token=sEcReT",
    11: "http://10.0.0.8/b.jpg",
    19: None,
}
COUNTS = {
    "not of a public host": 2,
    "with a user name or password": 1,
    "not http or https": 1,
    "with a token, key or signature": 1,
    "missing": 1,
}


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("dry_run", [False, True])
def test_such_rows_stop_a_release(dry_run: bool, hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run(urls=BAD)
    before = contents(run)
    with pytest.raises(DataError) as caught:
        release_made(run, REPO, dry_run=dry_run, tag="v1")
    assert str(caught.value) == (
        "ver-0: 6 of 20 rows cannot be published, by their URL: 2 not of a public host, 1 with a "
        "user name or password, 1 not http or https, 1 with a token, key or signature, 1 missing; "
        "such as 'http://127.0.0.1:8000/a.jpg', 'https://***@example.org/a.jpg', "
        "'file:///home/me/a.jpg'. Filter them out of the run, or leave them out of the release "
        "with --drop-unpublishable (drop_unpublishable = true in a run file)."
    )
    assert hub.requests == []
    assert contents(run) == before


def test_three_examples_of_the_same_kind(hub: LoopbackHub, make_run: MakeRun) -> None:
    urls = {row: f"https://example.org/{row}.jpg?access_token=sEcReT{row}" for row in range(8, 14)}
    with pytest.raises(DataError) as caught:
        publish(make_run(urls=urls))
    shown = ", ".join(f"'https://example.org/{row}.jpg?access_token=***'" for row in (8, 9, 10))
    assert f"6 with a token, key or signature; such as {shown}. " in str(caught.value)
    assert "sEcReT" not in str(caught.value)


def test_left_out_rows_are_nowhere(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run(urls=BAD)
    all_rows = pq.read_table(run / "dataset" / SHARD)
    before = contents(run)
    done = publish(run, drop_unpublishable=True, tag="v1")
    assert done.dropped == 6
    there = {name: hub.repos[REPO].file("v1", name).content for name in files(hub, "v1")}
    rows = pq.read_table(pa.BufferReader(there[SHARD]))
    left = [row for row in range(20) if row not in BAD]
    assert rows.equals(all_rows.take(left))
    assert not any(b"sEcReT" in content or b"/home/me" in content for content in there.values())

    [info] = head(hub, "v1").dataset_info
    assert info.splits[0].num_examples == 14
    assert info.download_size == len(there[SHARD])
    assert info.dataset_size == info.splits[0].num_bytes == rows.nbytes
    card = there["README.md"].decode()
    sources = len(set(rows["source"].to_pylist()))
    assert f"\n14 image-text pairs, found by {sources:,} anchors.\n" in card
    assert (
        "\n6 of the rows that the run kept are not in this release, because of their URL:" in card
    )
    for reason, count in COUNTS.items():
        assert f"\n| {reason} | {count} |\n" in card
    tags = rows["lang"].drop_null().to_pylist()
    for code in {*tags}:
        count = tags.count(code)
        assert f"\n| {code} | {count} | {100 * count / len(tags):.1f} % |\n" in card
    assert f"Shares are of the {len(tags)} captions with a language. {14 - len(tags)} of" in card
    assert head(hub, "v1").language == tuple(sorted({*tags}))

    [file] = json.loads(there["croissant-ver-0.json"])["distribution"]
    assert file["sha256"] == hashlib.sha256(there[SHARD]).hexdigest()
    after = contents(run)
    assert {run / RELEASES} == after.keys() - before.keys()
    assert before.items() <= after.items()


def test_the_run_directory_says_what_was_left_out(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run(urls=BAD)
    ids = pq.read_table(run / "dataset" / SHARD)["id"].to_pylist()
    done = publish(run, drop_unpublishable=True, tag="v1")
    [line] = (run / RELEASES).read_text().splitlines()
    entry = json.loads(line)
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "repo": REPO,
        "config": "ver-0",
        "rows": 14,
        "tag": "v1",
        "commit": done.commit,
        "url": done.url,
        "dropped": COUNTS,
        "ids": {
            "not of a public host": [ids[1], ids[11]],
            "with a user name or password": [ids[4]],
            "not http or https": [ids[5]],
            "with a token, key or signature": [ids[9]],
            "missing": [ids[19]],
        },
    }
    assert "sEcReT" not in line


def test_the_history_is_appended_to(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run(urls=BAD)
    publish(run, drop_unpublishable=True, tag="v1")
    first = (run / RELEASES).read_bytes()
    assert publish(run, drop_unpublishable=True, tag="v1").already
    assert (run / RELEASES).read_bytes() == first
    (run / RELEASES).write_bytes(first + b'{"at": "20')  # as a kill could leave it
    publish(run, drop_unpublishable=True, tag="v2")
    lines = (run / RELEASES).read_bytes().splitlines()
    assert lines[:2] == [first.rstrip(), b'{"at": "20']
    assert json.loads(lines[2])["tag"] == "v2"
    assert len(lines) == 3


def test_no_history_through_a_link(hub: LoopbackHub, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(urls=BAD)
    (tmp_path / "mine").touch()
    (run / RELEASES).symlink_to(tmp_path / "mine")
    with pytest.raises(DataError, match=r"releases\.jsonl: it is a link"):
        publish(run, drop_unpublishable=True)
    assert (tmp_path / "mine").read_bytes() == b""


def test_a_dry_run_shows_the_release_without_them(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run(urls=BAD)
    plan = release_made(run, REPO, dry_run=True, drop_unpublishable=True)
    assert isinstance(plan, HubPlan)
    assert plan.dropped == 6
    assert not (run / RELEASES).exists()
    publish(run, drop_unpublishable=True)
    assert hub.repos[REPO].file("main", "README.md").content.decode() == plan.card
    shard = hub.repos[REPO].file("main", SHARD)
    assert shard.sha256 == plan.uploads[SHARD].sha256
    assert plan.uploads[SHARD].rows == 14


def test_nothing_is_left_to_release(hub: LoopbackHub, make_run: MakeRun) -> None:
    urls = {row: f"http://10.0.0.{row}/a.jpg" for row in range(20)}
    with pytest.raises(DataError, match="none of its 20 rows can be published"):
        publish(make_run(urls=urls), drop_unpublishable=True)
    assert hub.requests == []


def test_nothing_to_leave_out_leaves_all_as_it_is(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run()
    done = publish(run, drop_unpublishable=True)
    assert done.dropped == 0
    assert hub.repos[REPO].file("main", SHARD).content == (run / "dataset" / SHARD).read_bytes()
    assert not (run / RELEASES).exists()


def test_the_publisher_of_a_run_is_guarded_too(hub: LoopbackHub, make_run: MakeRun) -> None:
    run = make_run(urls=BAD)
    strict = HfHub(validate(HfHub.Config, {"repo": REPO}, "run"), Context())
    with pytest.raises(DataError, match="6 of 20 rows cannot be published"):
        strict.publish(find_release(run))
    assert hub.requests == []
    options = {"repo": REPO, "drop_unpublishable": True}
    commit = HfHub(validate(HfHub.Config, options, "run"), Context()).publish(find_release(run))
    assert json.loads((run / RELEASES).read_text())["commit"] == commit


def test_a_card_without_the_numbers_of_its_rows(hub: LoopbackHub, tmp_path: Path) -> None:
    """It is not ours to renumber."""
    release = _with_url(make_release(tmp_path / "dataset"), "ftp://example.org/a.jpg")
    options = {"repo": REPO, "drop_unpublishable": True}
    publisher = HfHub(validate(HfHub.Config, options, "run"), Context())
    with pytest.raises(DataError, match=r"README\.md: it does not have the numbers of its rows"):
        publisher.publish(release)
    assert hub.requests == []


def _with_url(release: Release, url: str) -> Release:
    [shard] = [path for path in release.paths().values() if path.suffix == ".parquet"]
    rows = pq.read_table(shard, partitioning=None)
    urls = pa.array([url, *rows["url"].to_pylist()[1:]])
    place = rows.column_names.index("url")
    pq.write_table(rows.set_column(place, rows.schema.field("url"), urls), shard)
    records = tuple(
        record_file(release.folder, path, record.rows)
        for record, path in zip(release.files, release.paths().values(), strict=True)
    )
    return replace(release, files=records)


@pytest.mark.parametrize("rows", [5, 40])
def test_rows_of_several_files(hub: LoopbackHub, tmp_path: Path, rows: int) -> None:
    """A file of which no row is left stays, empty: its name counts the others."""
    urls = dict.fromkeys(range(5), "http://nas/a.jpg")
    table = with_urls(made_rows(rows + 5), urls)

    def card(size: int) -> str:
        numbers = Numbers([table])
        section = mark_section("ver-0", f"## a\n\n{numbers.found}\n\n{numbers.languages}\n")
        return join_card(CardHead(license="cc-by-4.0"), f"# x\n\n{section}")

    records = write_tree(tmp_path / "dataset", "ver-0", table, card, rows_per_shard=5)
    publisher = HfHub(
        validate(HfHub.Config, {"repo": REPO, "drop_unpublishable": True}, "run"), Context()
    )
    commit = publisher.publish(Release("ver-0", tmp_path / "dataset", records))
    there = hub.repos[REPO].at(commit).files
    shards = sorted(name for name in there if name.endswith(".parquet"))
    found = [pq.read_table(pa.BufferReader(there[name].content)) for name in shards]
    assert [part.num_rows for part in found] == [0] + [5] * (rows // 5)
    assert pa.concat_tables(found).equals(table.slice(5))


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("damage", ["no parquet", "no UTF-8", "page", "others", "name"])
def test_files_that_were_wrong_before_they_were_recorded(
    damage: str, drop: bool, hub: LoopbackHub, make_run: MakeRun
) -> None:
    run = make_run(urls=BAD)
    shard = run / "dataset" / SHARD
    if damage == "no parquet":
        shard.write_bytes(b"url\nhttp://127.0.0.1\n")
    elif damage == "no UTF-8":
        content = shard.read_bytes()
        rows = pq.read_table(pa.BufferReader(content))
        raw = [b"https://example.org/\xff.jpg"] * rows.num_rows
        column = pa.array(raw, pa.binary()).view(pa.string())
        place = rows.column_names.index("url")
        pq.write_table(rows.set_column(place, rows.schema.field("url"), column), shard)
    elif damage == "page":
        content = shard.read_bytes()
        shard.write_bytes(content[:200] + bytes(1000) + content[1200:])
    elif damage == "others":
        pq.write_table(pq.read_table(shard).drop_columns("lang"), shard)
    else:
        shard.rename(shard.with_name("train-00000-of-00002.parquet"))
    record_again(run)
    words = "damaged|not the published columns|is not a file of a complete dataset"
    with pytest.raises(DataError, match=words) as caught:
        publish(run, drop_unpublishable=drop)
    assert "\n" not in str(caught.value)
    assert hub.requests == []


def test_a_stranger_that_the_manifest_names(hub: LoopbackHub, make_run: MakeRun) -> None:
    """Rows in it would not be looked at."""
    run = make_run()
    (run / "dataset" / "ver-0" / "more.csv").write_text("url\nhttp://127.0.0.1/\n")
    record_again(run)
    with pytest.raises(DataError, match=r"'ver-0/more\.csv' is not a file of a complete dataset"):
        publish(run)
    assert hub.requests == []
