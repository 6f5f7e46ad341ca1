from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from contextlib import suppress
from dataclasses import replace
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
from laion_eo.pools import IndexResult, index
from laion_eo.pools.indexing import Indexer
from laion_eo.pools.sources import FolderSource, TarMember, open_source
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.texts import raw_texts
from laion_eo.types import JSON

LogCapture = pytest.LogCaptureFixture
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


BAD, SHOWN = b"caf\xe9 \0\x1b[2J", "caf\ufffd \ufffd\ufffd[2J"


def rows_of(result: IndexResult) -> list[dict[str, JSON]]:
    rows: list[dict[str, JSON]] = pq.read_table(result.folder / "metadata").to_pylist()
    return rows


@pytest.mark.parametrize("kind", ["csv", "parquet", "txt", "tar", "json", "urls"])
def test_captions_that_are_not_utf8_are_repaired_and_counted(
    kind: str, web: Path, web_url: str, registry: Registry, tmp_path: Path, caplog: LogCapture
) -> None:
    """One such caption among many costs neither the pool nor any other caption."""
    pool = tmp_path / "pool"
    pool.mkdir()
    images = {name: (web / f"green0{n}.png").read_bytes() for n, name in enumerate("ab")}
    good = "ein grünes Feld 🛰, two\nlines"
    if kind in ("csv", "parquet", "txt"):
        for name, content in images.items():
            (pool / f"{name}.png").write_bytes(content)
    if kind == "csv":
        rows = b'a.png,"%s"\r\nb.png,"%s"\r\n' % (BAD, good.encode())
        (pool / "metadata.csv").write_bytes(b"\xef\xbb\xbffile,caption\r\n" + rows)
    elif kind == "parquet":
        columns = {"file_name": pa.array(["a.png", "b.png"]), "text": raw_texts([BAD, good])}
        pq.write_table(pa.table(columns), pool / "metadata.parquet")
    elif kind == "txt":
        (pool / "a.txt").write_bytes(BAD)
        (pool / "b.txt").write_text(good, "utf-8")
    elif kind == "urls":
        urls = [f"{web_url}green0{n}.png" for n in (0, 1)]
        columns = {"url": pa.array(urls), "caption": raw_texts([BAD, good])}
        pq.write_table(pa.table(columns), pool / "urls.parquet")
    else:
        texts = {"a": BAD, "b": good.encode()}
        with tarfile.open(pool / "0.tar", "w") as archive:
            for name, text in texts.items():
                about = json.dumps({"caption": good}).encode()
                if name == "a":
                    about = b'{"caption": "caf\xe9 \\u0000\\u001b[2J"}'
                beside = (f"{name}.json", about) if kind == "json" else (f"{name}.txt", text)
                add(archive, *beside)
                add(archive, f"{name}.png", images[name])
    result = index(pool, tmp_path / "out", COLOURS, registry=registry, downloader=LOOPBACK)
    assert [row["caption"] for row in rows_of(result)] == [SHOWN, good]
    source = open_source(pool, lambda: registry.build(Downloader, LOOPBACK, "test", Context()))
    source.entries()
    assert source.repaired == 1
    assert "1 texts of 2 images had bytes that are not UTF-8, or control characters" in caplog.text


def test_a_url_with_control_characters_is_no_other_url(
    web_url: str, registry: Registry, tmp_path: Path
) -> None:
    good, bad = [f"{web_url}green00.png\n", f"{web_url}green02.png"], f"{web_url}green0\t1.png"
    urls: list[str | bytes | None] = [good[0], bad, good[1], b"\xff"]
    file = tmp_path / "urls.parquet"
    pq.write_table(pa.table({"url": raw_texts(urls)}), file)
    result = index(file, tmp_path / "out", COLOURS, registry=registry, downloader=LOOPBACK)
    assert [row["url"] for row in rows_of(result)] == [f"{web_url}green0{n}.png" for n in (0, 2)]
    skipped = pq.read_table(result.folder / "skipped").to_pylist()
    assert [row["image_path"] for row in skipped] == [
        f"about:invalid#{web_url}green0%091.png", "about:invalid#%FF",
    ]  # fmt: skip
    assert all(row["reason"].startswith("bad-url: ") for row in skipped)


def test_file_names_that_are_not_utf8(web: Path, registry: Registry, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    name = os.fsdecode(b"caf\xe9\x1b.png")
    (pool / name).write_bytes((web / "green00.png").read_bytes())
    for prefix, start in (("http://host/", "http://host/"), (None, f"{pool.as_uri()}/")):
        result = index(pool, tmp_path / "out", COLOURS, prefix, registry)
        (row,) = rows_of(result)
        assert (row["image_path"], row["url"]) == ("caf\ufffd\ufffd.png", f"{start}caf%E9%1B.png")
    (pool / "metadata.csv").write_bytes(b"file,caption\ncaf\xe9\x1b.png,one\na\0b.png,two\n")
    result = index(pool, tmp_path / "out", COLOURS, "http://host/", registry)
    assert [row["caption"] for row in rows_of(result)] == ["one"]
    (skipped,) = pq.read_table(result.folder / "skipped").to_pylist()
    assert "null" in skipped["reason"]


def test_a_tar_that_promises_too_much(web: Path, registry: Registry, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    with tarfile.open(pool / "0.tar", "w") as archive:
        add(archive, "a.png", (web / "green00.png").read_bytes())
    source = open_source(pool, lambda: pytest.fail("no downloader is needed"))
    (entry,) = source.entries()
    assert isinstance(entry, TarMember)
    ((_, reason),) = source.load([replace(entry, size=1 << 60)])
    assert reason == f"a file of {1 << 60:,} bytes, more than {1 << 30:,}"


def test_odd_values_in_a_description(web: Path, registry: Registry, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    values = ['NaN, "text": "t"', '["a"]', "null", '""', "1e999", "2019"]
    abouts = [f'{{"caption": {value}}}' for value in values]
    with tarfile.open(pool / "0.tar", "w") as archive:
        for number, about in enumerate(abouts):
            add(archive, f"{number}.json", about.encode())
            add(archive, f"{number}.png", (web / "green00.png").read_bytes())
    result = index(pool, tmp_path / "out", COLOURS, registry=registry)
    assert [row["caption"] for row in rows_of(result)] == ["t", None, None, None, None, "2019"]


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    source = FolderSource(tmp_path)
    found = {entry.path: reason for entry, reason in source.load(source.entries())}
    assert found == {"pipe.png": "it is no file", "folder.png": "it is no file"}
