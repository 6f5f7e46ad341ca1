from __future__ import annotations

import gzip
import io
import json
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from interrupted import Interrupted

from laion_eo.cli import cli
from laion_eo.component import Context
from laion_eo.errors import DataError, RunError
from laion_eo.kinds import Downloader
from laion_eo.pools import index
from laion_eo.pools.indexing import Indexer
from laion_eo.pools.sources import open_source
from laion_eo.registry import Registry
from laion_eo.testing import colours

COLOURS = {"use": "colours"}
LOOPBACK = {"use": "http", "allow_hosts": ["127.0.0.1"], "retries": 0, "delay": 0}


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def tars(web: Path, tmp_path: Path) -> Path:
    """Ten pictures of the web in two tars, as img2dataset writes them."""
    folder = tmp_path / "tars"
    folder.mkdir()
    files = sorted(web.glob("green0*.png"))
    for number in range(2):
        with tarfile.open(folder / f"0000{number}.tar", "w") as archive:
            for file in files[number * 5 : number * 5 + 5]:
                key = f"{file.stem}"
                about = {"url": f"http://web/{key}", "caption": f"json {key}"}
                add(archive, f"{key}.json", json.dumps(about).encode())
                add(archive, f"{key}.png", file.read_bytes())
                if number == 0:
                    add(archive, f"{key}.txt", f"text {key}".encode())
    return folder


def vectors(folder: Path) -> dict[str, list[float]]:
    stored = np.concatenate([np.load(f) for f in sorted((folder / "img_emb").glob("*.npy"))])
    rows = pq.read_table(folder / "metadata").to_pylist()
    return {Path(r["image_path"]).stem: v.tolist() for r, v in zip(rows, stored, strict=True)}


def test_tars_give_what_the_files_give(
    web: Path, tars: Path, registry: Registry, tmp_path: Path
) -> None:
    whole = index(web, tmp_path / "files", COLOURS, registry=registry)
    result = index(tars, tmp_path / "out", COLOURS, registry=registry)
    assert (result.rows, result.skipped) == (10, 0)
    mine, theirs = vectors(result.folder), vectors(whole.folder)
    assert mine == {name: theirs[name] for name in mine}
    rows = pq.read_table(result.folder / "metadata").to_pylist()
    assert rows[0]["image_path"] == "00000.tar/green00.png"
    assert (rows[0]["caption"], rows[0]["url"]) == ("text green00", "http://web/green00")
    assert rows[9]["caption"] == "json green09"


def test_a_truncated_tar_is_named(tars: Path, registry: Registry, tmp_path: Path) -> None:
    file = tars / "00001.tar"
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(DataError, match=r"00001\.tar: incomplete, or not a tar"):
        index(tars, tmp_path / "out", COLOURS, registry=registry)


def test_a_tar_leads_nowhere_else(
    web: Path, tars: Path, registry: Registry, tmp_path: Path
) -> None:
    with tarfile.open(tars / "00002.tar", "w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)):
            member = tarfile.TarInfo(f"{number}.png")
            member.type, member.linkname = kind, str(web / "green00.png")
            archive.addfile(member)
    result = index(tars, tmp_path / "out", COLOURS, registry=registry)
    assert (result.rows, result.skipped) == (10, 0)


def test_a_compressed_tar_is_named(tars: Path, registry: Registry, tmp_path: Path) -> None:
    file = tars / "00001.tar"
    file.write_bytes(gzip.compress(file.read_bytes()))
    with pytest.raises(DataError, match=r"00001\.tar: incomplete, or not a tar: .* Decompress"):
        index(tars, tmp_path / "out", COLOURS, registry=registry)


@pytest.mark.parametrize("about", [b"{bad", b"[1]", b"\xff", b"[" * 100_000, b'{"caption": 7}'])
def test_a_damaged_description_costs_no_picture(
    web: Path, registry: Registry, tmp_path: Path, about: bytes
) -> None:
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "0.tar", "w") as archive:
        add(archive, "a.json", about)
        add(archive, "a.png", (web / "green00.png").read_bytes())
    result = index(tmp_path / "tars", tmp_path / "out", COLOURS, registry=registry)
    (row,) = pq.read_table(result.folder / "metadata").to_pylist()
    assert row["caption"] == ("7" if b"7" in about else None)


def test_urls_are_fetched(web: Path, web_url: str, registry: Registry, tmp_path: Path) -> None:
    urls = [f"{web_url}green0{i}.png" for i in range(4)] + [f"{web_url}none.png", None]
    urls.append(urls[3])  # once is enough
    captions = [f"caption {i}" for i in range(7)]
    pq.write_table(pa.table({"URL": urls, "TEXT": captions}), tmp_path / "urls.parquet")
    out = tmp_path / "out"
    file = tmp_path / "urls.parquet"
    result = index(file, out, COLOURS, registry=registry, downloader=LOOPBACK)
    assert (result.rows, result.skipped) == (4, 1)
    rows = pq.read_table(out / "metadata").to_pylist()
    assert [row["url"] for row in rows] == urls[:4]
    assert rows[3]["caption"] == "caption 3"
    skipped = pq.read_table(out / "skipped").to_pylist()
    assert skipped[0]["image_path"].endswith("none.png")
    assert "404" in skipped[0]["reason"]
    theirs = vectors(index(web, tmp_path / "files", COLOURS, registry=registry).folder)
    assert vectors(out) == {f"green0{i}": theirs[f"green0{i}"] for i in range(4)}


def test_a_table_without_urls(registry: Registry, tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "urls.parquet")
    with pytest.raises(DataError, match=r"urls\.parquet: no column 'url'; it has key"):
        index(tmp_path / "urls.parquet", tmp_path / "out", COLOURS, registry=registry)
    (tmp_path / "urls.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"urls\.parquet: incomplete, or not a Parquet file"):
        index(tmp_path / "urls.parquet", tmp_path / "out", COLOURS, registry=registry)


def content(folder: Path) -> dict[str, bytes]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("kind", ["tars", "urls"])
def test_a_stopped_indexing_resumes(
    kind: str, tars: Path, web_url: str, registry: Registry, tmp_path: Path
) -> None:
    pool = tars
    if kind == "urls":
        pool = tmp_path / "urls.parquet"
        pq.write_table(pa.table({"url": [f"{web_url}green0{i}.png" for i in range(10)]}), pool)
    source = open_source(pool, lambda: registry.build(Downloader, LOOPBACK, "test", Context()))

    def indexed(out: Path, limit: int) -> Interrupted:
        model = Interrupted(limit)
        with suppress(KeyboardInterrupt):
            Indexer(source, out, model, "http://h/", shard_rows=4, batch_rows=2).run(
                source.entries()
            )
        return model

    indexed(tmp_path / "whole", 10)
    assert indexed(tmp_path / "out", 6).embedded == 6  # in the middle of the second shard
    assert indexed(tmp_path / "out", 10).embedded == 10 - 4
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_the_command_sets_options_of_the_downloader(
    web_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover = Registry.discover
    monkeypatch.setattr(Registry, "discover", lambda: discover([colours]))
    pq.write_table(pa.table({"url": [f"{web_url}green00.png"]}), tmp_path / "urls.parquet")
    args = ["index", str(tmp_path / "urls.parquet"), "--embedder", "colours"]
    refused = CliRunner().invoke(cli, [*args, "--out", str(tmp_path / "refused")])
    assert isinstance(refused.exception, RunError)
    assert "private addresses have to be named" in str(refused.exception)
    args += ["--set", 'downloader.allow_hosts=["127.0.0.1"]']
    allowed = CliRunner().invoke(cli, [*args, "--out", str(tmp_path / "out")])
    assert allowed.exit_code == 0, allowed.output
    assert "1 images embedded" in allowed.output
