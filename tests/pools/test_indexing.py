from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from interrupted import Interrupted
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.pool_record import PoolRecord, decode
from laion_eo.cli import cli
from laion_eo.errors import ConfigError, DataError, RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Embedder
from laion_eo.pipeline import RunResult, plan, run
from laion_eo.pools import index
from laion_eo.pools.indexing import Indexer
from laion_eo.pools.sources import open_source
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON, Embeddings, Picture

COLOURS = {"use": "colours"}


def vectors_of(folder: Path) -> NDArray[np.float16]:
    return np.concatenate([np.load(f) for f in sorted((folder / "img_emb").glob("*.npy"))])


def metadata_of(folder: Path) -> list[dict[str, object]]:
    table: pa.Table = pq.read_table(folder / "metadata")
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def content_of(folder: Path) -> dict[str, bytes]:
    files = (f for f in folder.rglob("*") if f.is_file())
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


@pytest.fixture
def copy(web: Path, tmp_path: Path) -> Path:
    """A few pictures of the web, to be changed."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in sorted(web.glob("green0*.png")):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_layout_captions_and_urls(web: Path, registry: Registry, tmp_path: Path) -> None:
    result = index(web, tmp_path / "out", COLOURS, "http://host/here/", registry)
    assert (result.rows, result.skipped, result.model_id) == (52, 0, "colours-1")
    rows = metadata_of(result.folder)
    with (web / "pairs.csv").open(encoding="utf-8") as stream:
        pairs = list(csv.DictReader(stream))
    assert [row["image_path"] for row in rows] == [pair["file"] for pair in pairs]
    assert [row["caption"] for row in rows] == [pair["caption"] for pair in pairs]
    assert rows[0]["url"] == f"http://host/here/{pairs[0]['file']}"
    assert (rows[50]["width"], rows[50]["height"]) == (100, 100)
    vectors = vectors_of(result.folder)
    assert vectors.dtype == np.float16
    assert vectors.shape == (52, 49)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=1e-3)


def test_without_a_table_captions_are_files_beside(
    copy: Path, registry: Registry, tmp_path: Path
) -> None:
    (copy / "green03.txt").write_text(" a field \n")
    (copy / "a folder").mkdir()
    (copy / "green00.png").rename(copy / "a folder" / "green 00.png")
    rows = metadata_of(index(copy, tmp_path / "out", COLOURS, registry=registry).folder)
    captions = {str(row["image_path"]): row["caption"] for row in rows}
    assert captions["green03.png"] == "a field"
    assert captions["green04.png"] is None
    urls = {str(row["image_path"]): row["url"] for row in rows}
    inside = copy.resolve().as_uri()
    assert urls["a folder/green 00.png"] == f"{inside}/a%20folder/green%2000.png"


def test_an_unreadable_picture_is_skipped_and_listed(
    copy: Path, registry: Registry, tmp_path: Path
) -> None:
    (copy / "green01.png").write_text("no picture")
    (copy / "green02.png").write_bytes((copy / "green02.png").read_bytes()[:3000])
    result = index(copy, tmp_path / "out", COLOURS, registry=registry)
    assert (result.rows, result.skipped) == (8, 2)
    skipped = pq.read_table(result.folder / "skipped").to_pylist()
    assert [row["image_path"] for row in skipped] == ["green01.png", "green02.png"]
    assert "no known image format" in skipped[0]["reason"]
    assert "damaged PNG" in skipped[1]["reason"]
    assert len(vectors_of(result.folder)) == len(metadata_of(result.folder)) == 8


def test_a_stopped_indexing_resumes(web: Path, tmp_path: Path) -> None:
    source = open_source(web, lambda: pytest.fail("nothing is downloaded"))

    def indexed(out: Path, limit: int) -> Interrupted:
        model = Interrupted(limit)
        with suppress(KeyboardInterrupt):
            Indexer(source, out, model, "http://h/", shard_rows=10, batch_rows=5).run(
                source.entries()
            )
        return model

    indexed(tmp_path / "whole", 52)
    assert indexed(tmp_path / "out", 25).embedded == 25  # in the middle of the third shard
    assert json.loads((tmp_path / "out" / "index.json").read_text())["complete"] is False
    assert indexed(tmp_path / "out", 52).embedded == 52 - 20
    assert content_of(tmp_path / "out") == content_of(tmp_path / "whole")


def test_other_pictures_start_afresh(
    web: Path, copy: Path, registry: Registry, tmp_path: Path
) -> None:
    index(web, tmp_path / "out", COLOURS, "http://h/", registry)
    for killed in ("image.index.working", "index.json.77.working"):
        (tmp_path / "out" / killed).touch()
    (tmp_path / "out" / "image.index").touch()
    index(copy, tmp_path / "out", COLOURS, "http://h/", registry)
    index(copy, tmp_path / "other", COLOURS, "http://h/", registry)
    assert content_of(tmp_path / "out") == content_of(tmp_path / "other")


class Turned(colours.Colours):
    """Another model: the same vectors, turned around."""

    name = "turned"
    model_id = "turned-1"

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        return -super().embed_images(images)

    @staticmethod
    @hookimpl
    def laion_eo_embedders() -> list[type[Embedder]]:
        return [Turned]


def test_another_prefix_caption_or_model_starts_afresh(
    copy: Path, registry: Registry, tmp_path: Path
) -> None:
    index(copy, tmp_path / "out", COLOURS, "http://h/", registry)
    index(copy, tmp_path / "out", COLOURS, "http://other/", registry)
    assert str(metadata_of(tmp_path / "out")[0]["url"]).startswith("http://other/")
    (copy / "green00.txt").write_text("a field")
    index(copy, tmp_path / "out", COLOURS, "http://other/", registry)
    assert metadata_of(tmp_path / "out")[0]["caption"] == "a field"
    before = vectors_of(tmp_path / "out")
    turned = Registry.discover([Turned])
    index(copy, tmp_path / "out", {"use": "turned"}, "http://other/", turned)
    np.testing.assert_array_equal(vectors_of(tmp_path / "out"), -before)


def test_a_folder_of_other_things_is_left_alone(
    copy: Path, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match=r"holds 'thesis\.tex'"):
        index(copy, tmp_path / "out", COLOURS, registry=registry)


def test_a_third_party_pool_is_left_alone(copy: Path, registry: Registry, tmp_path: Path) -> None:
    vectors = tmp_path / "out" / "img_emb" / "img_emb_0.npy"
    vectors.parent.mkdir(parents=True)
    vectors.write_bytes(b"precious")
    with pytest.raises(DataError, match=r"holds 'img_emb'"):
        index(copy, tmp_path / "out", COLOURS, registry=registry)
    assert vectors.read_bytes() == b"precious"


def test_a_table_names_nothing_outside_the_pool(
    copy: Path, registry: Registry, tmp_path: Path
) -> None:
    outside = (copy / "green00.png").rename(tmp_path / "outside.png")
    inside = copy / "green01.png"
    names = ["../outside.png", str(outside), "x/../../outside.png", str(inside), "green02.png", ""]
    with (copy / "metadata.csv").open("w") as stream:
        csv.writer(stream).writerows([["file"], *([name] for name in names)])
        stream.write('""\n')
    result = index(copy, tmp_path / "out", COLOURS, registry=registry)
    rows = metadata_of(result.folder)
    assert [row["image_path"] for row in rows] == [str(inside), "green02.png"]
    skipped = pq.read_table(result.folder / "skipped")["reason"].to_pylist()
    assert skipped == ["it lies outside the pool's folder"] * 3 + ["its row names no file"] * 2


def test_damaged_tables_are_named(copy: Path, registry: Registry, tmp_path: Path) -> None:
    (copy / "metadata.csv").write_bytes(b"\xff\xfef")
    with pytest.raises(DataError, match=r"metadata\.csv: not a CSV file in UTF-8"):
        index(copy, tmp_path / "out", COLOURS, registry=registry)
    (copy / "metadata.csv").rename(copy / "metadata.parquet")
    with pytest.raises(DataError, match=r"metadata\.parquet: incomplete, or not a Parquet file"):
        index(copy, tmp_path / "out", COLOURS, registry=registry)
    with pytest.raises(DataError, match=r"metadata\.parquet: incomplete, or not a Parquet file"):
        index(copy / "metadata.parquet", tmp_path / "out", COLOURS, registry=registry)


def test_what_is_no_pool(registry: Registry, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(DataError, match=source.name):
            index(source, tmp_path / "out", COLOURS, registry=registry)
    (copy / "metadata.csv").write_text("picture,words\ngreen00.png,a field\n")
    with pytest.raises(DataError, match=r"metadata\.csv: no column 'file' or .* picture, words"):
        index(copy, tmp_path / "out", COLOURS, registry=registry)
    with pytest.raises(ConfigError, match="no embedder named 'colour'"):
        index(copy, tmp_path / "out", {"use": "colour"}, registry=registry)
    with pytest.raises(ConfigError, match="index: 'use': .*string"):
        index(copy, tmp_path / "out", {"use": 3}, registry=registry)


def test_of_which_nothing_could_be_embedded_it_fails(
    copy: Path, registry: Registry, run_data: dict[str, JSON], tmp_path: Path
) -> None:
    saved = {path: path.read_bytes() for path in copy.iterdir()}
    for path in saved:
        path.write_text("no picture")
    out = tmp_path / "out"
    line = "none of the images could be embedded: 10 not decoded (no known image format"
    with pytest.raises(RunError, match=re.escape(line)) as caught:
        index(copy, out, COLOURS, registry=registry)
    assert caught.value.exit_code == 1
    assert json.loads((out / "index.json").read_text())["complete"] is False
    run_data["retriever"]["pool"] = str(out)
    with pytest.raises(DataError, match=r"out: incomplete: .* laion-eo index "):
        plan(run_data, tmp_path / "run", registry=registry)
    for path, content in saved.items():
        path.write_bytes(content)
    assert index(copy, out, COLOURS, registry=registry).rows == 10


def test_what_was_refused_is_fetched_once_it_is_allowed(
    web_url: str, registry: Registry, tmp_path: Path
) -> None:
    urls = tmp_path / "urls.parquet"
    pq.write_table(pa.table({"url": [f"{web_url}green0{number}.png" for number in range(3)]}), urls)
    http = {"use": "http", "delay": 0}
    line = "3 refused-address .*: private addresses have to be named"
    with pytest.raises(RunError, match=line):
        index(urls, tmp_path / "out", COLOURS, registry=registry, downloader=http)
    http["allow_hosts"] = ["127.0.0.1"]
    result = index(urls, tmp_path / "out", COLOURS, registry=registry, downloader=http)
    assert (result.rows, result.skipped) == (3, 0)


@pytest.mark.parametrize("damage", ["incomplete", "altered", "record"])
def test_a_run_refuses_before_any_work(
    damage: str, copy: Path, registry: Registry, run_data: dict[str, JSON], tmp_path: Path
) -> None:
    pool = index(copy, tmp_path / "out", COLOURS, "http://h/", registry).folder
    if damage == "altered":
        vectors = next((pool / "img_emb").iterdir())
        vectors.write_bytes(vectors.read_bytes()[:-1] + b"?")
    elif damage == "record":
        (pool / "index.json").write_bytes(bytes(99))
    else:
        record = decode((pool / "index.json").read_bytes())
        assert isinstance(record, PoolRecord)
        (pool / "index.json").write_bytes(record.changed(complete=False, files=()).encode())
    run_data["retriever"]["pool"] = str(pool)
    for command in (plan, run):
        with pytest.raises(DataError, match=str(pool)) as caught:
            command(run_data, tmp_path / "run", registry=registry)
        assert "\n" not in str(caught.value)
    assert not [*(tmp_path / "run").glob("anchors/part-*")]
    index(copy, pool, COLOURS, "http://h/", registry)
    plan(run_data, tmp_path / "run", registry=registry)


def test_the_manifest_says_that_a_record_vouches_for_the_pool(finished_run: RunResult) -> None:
    facts = finished_run.manifest["stages"]["neighbors"]["facts"]["exact-scan"]
    assert facts["vouched"] is True


def test_existing_keys_of_the_record_stay(copy: Path, registry: Registry, tmp_path: Path) -> None:
    pool = index(copy, tmp_path / "out", COLOURS, "http://h/", registry).folder
    about = json.loads((pool / "index.json").read_text())
    assert {key: about[key] for key in ("model_id", "dim", "rows", "skipped", "complete")} == {
        "model_id": "colours-1",
        "dim": 49,
        "rows": 10,
        "skipped": 0,
        "complete": True,
    }
    asked = {"pool": str(copy), "embedder": COLOURS, "url_prefix": "http://h/"}
    assert about["index"] == asked
    assert [file["path"] for file in about["files"]] == [
        "img_emb/img_emb_0.npy",
        "metadata/metadata_0.parquet",
        "skipped/skipped_0.parquet",
    ]


def test_command_says_what_to_do_next(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Registry.discover([colours])
    monkeypatch.setattr(Registry, "discover", lambda: found)
    (copy / "green01.png").write_text("no picture")
    out = tmp_path / "out"
    args = ["index", str(copy), "--out", str(out), "--embedder", "colours"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    assert f"{out}: 9 images embedded with colours-1." in result.output
    assert "1 could not be read" in result.output
    assert f'use = "exact-scan", pool = "{out}"' in result.output


def test_a_missing_package_is_named_before_the_pool_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'laion-eo[clip]'")):
        index(tmp_path / "no such pool", tmp_path / "out")


@pytest.mark.parametrize("login", ["user:password", "token"])
def test_a_login_does_not_belong_into_a_pools_urls(login: str, web: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a login does not belong into the URLs") as caught:
        index(web, tmp_path / "pool", {"use": "colours"}, f"https://{login}@images.example/")
    assert login not in str(caught.value)
    assert not (tmp_path / "pool").exists()


def test_repaired_texts_are_counted(copy: Path, registry: Registry, tmp_path: Path) -> None:
    rows = b"file,caption\ngreen00.png,caf\xe9\ngreen01.png,a field\ngreen02.png,a\x00b\n"
    (copy / "metadata.csv").write_bytes(rows)
    index(copy, tmp_path / "out", COLOURS, registry=registry)
    assert json.loads((tmp_path / "out" / "index.json").read_text())["repaired_texts"] == 2
    tables = sorted((tmp_path / "out" / "metadata").iterdir())
    captions = pq.read_table(tables[0])["caption"].to_pylist()
    assert captions == ["caf\ufffd", "a field", "a\ufffdb"]
