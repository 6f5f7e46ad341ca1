"""Alterations of a finished run, and of a dataset alone: what somebody, or a disk, can do to them.

Each says which file, or table, a verification must name.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from crash.power_loss import damaged

from laion_eo.fingerprint import file_sha256
from laion_eo.integrity.runs.records import NAMES
from laion_eo.types import JSON

Alter: TypeAlias = Callable[[Path], None]
TABLES = NAMES[:-1]
SHARD = "dataset/ver-0/train-00000-of-00001.parquet"
CROISSANT = "dataset/croissant-ver-0.json"
CARD = "dataset/README.md"
HOWS = ("emptied", "cut", "zeroed", "flipped", "deleted", "linked", "a folder")


@dataclass(frozen=True)
class Alteration:
    """One of them.

    Attributes:
        name: What is done.
        alter: Does it, given the run directory.
        where: What a fault must name: the file, or the table; one of these.
        stays: Whether a run may leave it as it is, because no step needs it.
    """

    name: str
    alter: Alter
    where: tuple[str, ...]
    stays: bool = False


# --- files ---------------------------------------------------------------------------------------


def first(run: Path, pattern: str) -> Path:
    """Return the last file of a pattern: of some parts, the newest."""
    return sorted(run.glob(pattern))[-1]


def harm(run: Path, pattern: str, how: str) -> None:
    """Damage a file."""
    path = first(run, pattern)
    content = path.read_bytes()
    if how in HOWS[:4]:
        path.write_bytes(damaged(content, how, Random(f"{pattern} {how}")))
        return
    path.unlink()
    if how == "linked":
        aside = run.with_name(f"{run.name}-aside")
        aside.write_bytes(content)
        path.symlink_to(aside)
    elif how == "a folder":
        path.mkdir()


def swap(run: Path, pattern: str) -> None:
    """Let two files change their places."""
    one, other = sorted(run.glob(pattern))[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def put(run: Path, name: str, content: bytes = b"of somebody") -> None:
    """Put a file beside the others."""
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def remove(run: Path, name: str) -> None:
    """Remove a folder, or a file."""
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def link(run: Path, name: str) -> None:
    """Put a folder elsewhere, and a link in its place."""
    aside = run.with_name(f"{run.name}-aside")
    (run / name).rename(aside)
    (run / name).symlink_to(aside)


def rename(run: Path, pattern: str, found: str, instead: str) -> None:
    """Give a file another name."""
    path = first(run, pattern)
    path.rename(path.with_name(re.sub(found, instead, path.name, count=1)))


def copy(run: Path, pattern: str, name: str) -> None:
    """Put a copy of a file elsewhere."""
    shutil.copy(first(run, pattern), run / name)


def text(run: Path, name: str, found: str, instead: str) -> None:
    """Replace the first match of a pattern in a text file; there must be one."""
    path = run / name
    before = path.read_text("utf-8")
    after, count = re.subn(found, instead, before, count=1)
    assert count, f"{name} has no {found!r}"
    assert after != before
    path.write_text(after, "utf-8")


# --- tables --------------------------------------------------------------------------------------


def rows(run: Path, pattern: str, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Write a table anew with other rows, as whoever made it would have; return its file."""
    path = first(run, pattern)
    table = pq.ParquetFile(path).read()
    pq.write_table(change(table), path, compression="zstd")
    return path


def dropped(table: pa.Table) -> pa.Table:
    return table.slice(1)


def doubled(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def swapped(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, table.num_rows)])


def column(name: str, change: Callable[[JSON], JSON]) -> Callable[[pa.Table], pa.Table]:
    """Return what changes the first value of a column."""

    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        values = table[name].to_pylist()
        values[0] = change(values[0])
        return table.set_column(place, field, pa.array(values, field.type))

    return changed


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def wider(table: pa.Table) -> pa.Table:
    return table.append_column("secret", pa.array(["x"] * table.num_rows))


def cast(name: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, table[name].cast(kind))

    return changed


def reordered(table: pa.Table) -> pa.Table:
    return table.select([*table.column_names[1:], table.column_names[0]])


VALUES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "anchors": column("embedding", lambda vector: [*vector[1:], vector[0]]),
    "neighbors": column("fast_similarity", lambda value: value + 1e-6),
    "candidates": column("caption", lambda value: f"{value}!"),
    "downloads": column("final_url", lambda value: f"{value}?"),
    "scores": column("image_similarity", lambda value: value - 1e-6),
    "languages": column("lang", lambda _: "fr"),
    "verdicts": column("reason", lambda value: None if value else "too nice"),
}
"""A change of one value in the table of each stage."""


# --- records -------------------------------------------------------------------------------------


def edit(run: Path, name: str, change: Callable[[Any], None]) -> None:
    """Edit a JSON file."""
    path = run / name
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data, indent=1), "utf-8")


def more(*keys: str | int) -> Callable[[Any], None]:
    """Return what adds one to a number, however deep, or a digit to a text."""

    def change(data: Any) -> None:
        *path, last = keys
        for key in path:
            data = data[key]
        value = data[last]
        data[last] = f"{value}0" if isinstance(value, str) else value + 1

    return change


def lacking(*keys: str | int) -> Callable[[Any], None]:
    """Return what removes a key, however deep."""

    def change(data: Any) -> None:
        *path, last = keys
        for key in path:
            data = data[key]
        del data[last]

    return change


def other_hash(*keys: str | int) -> Callable[[Any], None]:
    """Return what replaces a hash by another."""

    def change(data: Any) -> None:
        *path, last = keys
        for key in path:
            data = data[key]
        data[last] = "0" * len(data[last])

    return change


# --- a dataset alone -----------------------------------------------------------------------------


def consistent(
    run: Path, change: Callable[[pa.Table], pa.Table] | None, fit_card: bool = True
) -> None:
    """Change the dataset's table, and let Croissant and the card say what fits its bytes."""
    path = rows(run, SHARD, change or (lambda table: table))
    digest, size = file_sha256(path), path.stat().st_size
    edit(run, CROISSANT, lambda data: data["distribution"][0].update(sha256=digest))
    if fit_card:
        text(run, CARD, r"download_size: \d+", f"download_size: {size}")


def renumber(run: Path, *pairs: tuple[str, str]) -> None:
    for found, instead in pairs:
        text(run, CARD, found, instead)


# --- the lists -----------------------------------------------------------------------------------


def _damage() -> Iterator[Alteration]:
    """Every kind of file, damaged in every way."""
    stage_files = [(f"{stage}/part-*", stage) for stage in TABLES]
    own = [(name, name) for name in ("manifest.json", "run.toml", SHARD, CARD, CROISSANT)]
    records = [(f".stages/{name}.json",) * 2 for name in ("downloads", "dataset", "run")]
    for pattern, where in [*stage_files, *own, *records, ("images/*", "images/")]:
        for how in HOWS:
            alter = partial(harm, pattern=pattern, how=how)
            # A record that is a link says what it said: a run may read it.
            stays = how == "linked" and pattern.startswith(".stages")
            yield Alteration(f"{pattern} {how}", alter, (where,), stays)


def _moved() -> Iterator[Alteration]:
    """Files and folders that are gone, elsewhere, too many or under other names."""
    for name in (*NAMES, "images", ".stages"):
        yield Alteration(f"{name} removed", partial(remove, name=name), (name,))
        if name != "images":  # those may lie on another disk
            stays = name != "dataset"
            yield Alteration(f"{name} is a link", partial(link, name=name), (name,), stays)
    for name in NAMES:
        path = f".stages/{name}.json"
        yield Alteration(f"{path} removed", partial(remove, name=path), (path,))
    for pattern in ("downloads/part-*", "scores/part-*", "images/*"):
        where = pattern.split("/")[0]
        yield Alteration(f"{pattern} swapped", partial(swap, pattern=pattern), (where,))
    for name, stays in {
        "scores/notes.txt": True,
        "scores/part-00099-0123456789abcdef.parquet": False,
        "downloads/journal-0123456789abcdef.jsonl": True,
        "neighbors/.shards/x/000000-000001.npz": True,
        "images/page.html": True,
        "images/inner/x.png": True,
        f"images/{'0' * 64}.png": True,
        "dataset/secrets.env": False,
        "dataset/ver-0/secrets.env": False,
        "dataset/ver-0/.hidden": False,
        "dataset/ver-1/train-00000-of-00001.parquet": False,
        "dataset/figures/ver-0/map.png": False,
        ".stages/others.json": True,
        ".stages/scores.0123456789abcdef.progress": True,
        "scores/part.1.working": False,
        ".dataset.working/README.md": False,
    }.items():
        where = ".dataset.working" if name.startswith(".dataset") else name
        yield Alteration(f"{name} put there", partial(put, name=name), (where,), stays)
    yield Alteration(
        "an old part put beside",
        partial(copy, pattern="scores/part-*", name="scores/part-00000-00000000000000aa.parquet"),
        ("scores/part-00000-00000000000000aa.parquet",),
    )
    yield Alteration(
        "a part of another stage",
        partial(copy, pattern="languages/part-*", name="verdicts/part-00000-0a.parquet"),
        ("verdicts/part-00000-0a.parquet",),
    )
    yield Alteration(
        "a part renumbered",
        partial(rename, pattern="scores/part-*", found=r"-0000\d-", instead="-00042-"),
        ("scores/part-00042",),
    )
    yield Alteration(
        "an image renamed",
        partial(rename, pattern="images/*", found="^.{4}", instead="0000"),
        ("images/",),
        stays=True,
    )
    yield Alteration(
        "a shard renamed",
        partial(rename, pattern=SHARD, found="of-00001", instead="of-00002"),
        ("dataset/ver-0/train-",),
    )
    yield Alteration(
        "a link among the images",
        lambda run: (run / "images/passwd").symlink_to("/etc/passwd"),
        ("images/passwd",),
        stays=True,
    )
    yield Alteration(
        "a link in the dataset",
        lambda run: (run / "dataset/ver-0/passwd").symlink_to("/etc/passwd"),
        ("dataset/ver-0/passwd",),
    )
    yield Alteration(
        "an image encoded anew",
        lambda run: first(run, "images/*").write_bytes(first(run, "images/*").read_bytes() + b"\0"),
        ("images/",),
    )
    yield Alteration(
        "the groups of duplicates lack a row",
        lambda run: rows(run, "duplicates.parquet", dropped) and None,
        ("duplicates.parquet",),
        stays=True,
    )


def _tables() -> Iterator[Alteration]:
    """Tables encoded anew, as valid as before."""
    for stage in TABLES:
        pattern = f"{stage}/part-*0-*"
        for what, change in {
            "lacks a row": dropped,
            "has a row twice": doubled,
            "has two rows swapped": swapped,
            "has another value": VALUES[stage],
        }.items():
            yield Alteration(f"{stage} {what}", _in_rows(pattern, change), (stage,))
    for what, change in {
        "lacks a row": dropped,
        "has a row twice": doubled,
        "has two rows swapped": swapped,
        "has another score": column("image_similarity", lambda value: value - 1e-6),
        "has another caption": column("caption", lambda value: f"{value} "),
        "has another column": wider,
        "lacks a column": without("lang"),
        "is encoded anew": lambda table: table,
    }.items():
        yield Alteration(f"the dataset {what}", _in_rows(SHARD, change), (SHARD,))


def _in_rows(pattern: str, change: Callable[[pa.Table], pa.Table]) -> Alter:
    def alter(run: Path) -> None:
        rows(run, pattern, change)

    return alter


def _edited() -> Iterator[Alteration]:
    """Numbers and hashes edited where they are written down."""
    for name, change in {
        "manifest.json": more("stages", "verdicts", "counts", "kept"),
        ".stages/verdicts.json": more("counts", "kept"),
        ".stages/scores.json": more("fingerprint"),
        ".stages/candidates.json": other_hash("files", 0, "sha256"),
        ".stages/neighbors.json": more("files", 0, "rows"),
        ".stages/downloads.json": more("files", 0, "bytes"),
        ".stages/languages.json": other_hash("inputs", "candidates"),
        ".stages/anchors.json": lacking("checksum"),
        ".stages/run.json": other_hash("files", 0, "sha256"),
        CROISSANT: other_hash("distribution", 0, "sha256"),
    }.items():
        yield Alteration(f"{name} edited", partial(edit, name=name, change=change), (name,))
    for what, name, found, instead in (
        ("a threshold", "run.toml", r"sigma = 1\.5", "sigma = 1.6"),
        ("a seed", "run.toml", r"seed = 0", "seed = 1"),
        ("a version", "manifest.json", r'"laion_eo": "\d', '"laion_eo": "9'),
        ("a package", "manifest.json", r'"numpy": "\d', '"numpy": "9'),
        ("the seconds", "manifest.json", r'"seconds": \d', '"seconds": 77'),
        ("the licence", CARD, "license: cc-by-4.0", "license: mit"),
        ("a threshold on the card", CARD, r"kept from", "kept above"),
        ("the description", CROISSANT, "Links to images", "Images"),
    ):
        alter = partial(text, name=name, found=found, instead=instead)
        says_too = (CROISSANT,) if name == CARD else ()
        yield Alteration(f"{what} in {name}", alter, (name, *says_too))


OF_A_RUN: tuple[Alteration, ...] = (*_damage(), *_moved(), *_tables(), *_edited())
"""Alterations of a run directory."""


def _alone() -> Iterator[Alteration]:
    """Alterations that the files of a dataset show by themselves."""
    of_dataset = (SHARD, CARD, CROISSANT)
    for one in (*_damage(), *_tables(), *_edited(), *_moved()):
        # Nothing but the card says what the card says in words: only the run's record knows.
        in_words = (f"{CARD} flipped", f"a threshold on the card in {CARD}")
        if one.where[0].startswith("dataset/") and one.name not in in_words:
            yield one
    for what, found, instead in (
        ("num_examples", r"num_examples: \d+", "num_examples: 7"),
        ("download_size", r"download_size: \d", "download_size: 7"),
        ("num_bytes", r"num_bytes: \d", "num_bytes: 7"),
        ("dataset_size", r"dataset_size: \d", "dataset_size: 7"),
        ("size_categories", "n<1K", "1K<n<10K"),
        ("language", "- en\n", "- en\n- fr\n"),
        ("a feature", "name: caption\n    dtype: string", "name: text\n    dtype: string"),
        ("a dtype", "name: width\n    dtype: int32", "name: width\n    dtype: int64"),
        ("data_files", r"path: ver-0/train-\*.parquet", "path: ver-0/*.parquet"),
        ("the name", "config_name: ver-0", "config_name: ver-2"),
        ("the rows", r"\d+ image-text pairs", "7 image-text pairs"),
        ("the anchors", r"found by \d+ anchors", "found by 77 anchors"),
        ("the languages", r"\| en \| \d+ \|", "| en | 1 |"),
        ("the shares", r"\d+\.\d % \|", "7.7 % |"),
        ("the kept", r"\| verdicts \| kept \| \d+ \|", "| verdicts | kept | 1 |"),
        ("the urls", r"\| downloads \| urls \| \d+ \|", "| downloads | urls | 1 |"),
        ("the images", r"\| candidates \| images \| \d+ \|", "| candidates | images | 1 |"),
        ("the section", "<!-- config ver-0 -->\n", ""),
        ("the head", r"\A---\n", "\n---\n"),
        ("a key", "pretty_name:", "gated: auto\npretty_name:"),
        ("the encoding", "LAION", "\\\\xff LAION"),
    ):
        if what == "the encoding":
            yield Alteration("no UTF-8 in the card", _no_utf8, (CARD,))
            continue
        alter = partial(text, name=CARD, found=found, instead=instead)
        yield Alteration(f"{what} on the card", alter, (*of_dataset, "ver-2"))
    for what, change in {
        "a file twice": lambda data: data["distribution"].append(data["distribution"][0]),
        "another file": lambda data: data["distribution"][0].update(contentUrl="ver-0/x.parquet"),
        "no record set": lambda data: data.update(recordSet=[]),
        "a field less": lambda data: data["recordSet"][0]["field"].pop(),
        "another version": lambda data: data.update(conformsTo="http://example.org"),
        "another licence": lambda data: data.update(license="mit"),
        "no distribution": lacking("distribution"),
        "another type": lambda data: data["recordSet"][0]["field"][0].update(dataType="sc:Text"),
    }.items():
        alter = partial(edit, name=CROISSANT, change=change)
        yield Alteration(f"Croissant: {what}", alter, (SHARD, CROISSANT))
    yield Alteration("Croissant: a key twice", _key_twice, (CROISSANT,))
    yield Alteration("Croissant: nested deeply", _nested, (CROISSANT,))


def _no_utf8(run: Path) -> None:
    path = run / CARD
    path.write_bytes(path.read_bytes().replace(b"LAION", b"\xff\xfe", 1))


def _key_twice(run: Path) -> None:
    text(run, CROISSANT, r'"conformsTo"', '"name": "x", "conformsTo"')


def _nested(run: Path) -> None:
    (run / CROISSANT).write_text("[" * 100_000 + "]" * 100_000, "utf-8")


def _consistent() -> Iterator[Alteration]:
    """Values that no run publishes, in a table whose hash Croissant says."""
    nan, high = float("nan"), 1.5
    for what, change in {
        "a similarity that is no number": column("image_similarity", lambda _: nan),
        "a similarity above 1": column("fast_similarity", lambda _: high),
        "no similarity": column("fast_similarity", lambda _: None),
        "no address": column("url", lambda _: None),
        "an empty address": column("url", lambda _: " "),
        "no name": column("filename", lambda _: "picture.png"),
        "a name in capitals": column("filename", str.upper),
        "no width": column("width", lambda _: 0),
        "no height": column("height", lambda _: None),
        "an id below 0": column("id", lambda _: -1),
        "an anchor below 0": column("source", lambda _: -1),
        "a language of two words": column("lang", lambda _: "not a code"),
        "a confidence above 1": column("lang_score", lambda _: high),
        "a row twice": doubled,
        "a row less": dropped,
        "another order of columns": reordered,
        "another type": cast("id", pa.int32()),
        "text that is no UTF-8": _raw_bytes,
    }.items():
        yield Alteration(f"consistently {what}", partial(consistent, change=change), (SHARD, CARD))


def _raw_bytes(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("caption")
    values = [b"\xff\xfe", *table["caption"].cast(pa.binary()).to_pylist()[1:]]
    offsets = np.cumsum([0, *map(len, values)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    broken = pa.StringArray.from_buffers(len(values), buffers[1], buffers[2])
    return table.set_column(place, "caption", broken)


OF_A_DATASET: tuple[Alteration, ...] = (*_alone(), *_consistent())
"""Alterations of a dataset that nothing but its own files vouches for."""


def _resealed() -> Iterator[Alteration]:
    """Alterations by somebody who writes every record anew, so that all hashes are right."""
    yield Alteration("a verdict turned, and sealed", _turned, ("dataset", "verdicts"))
    yield Alteration("a candidate lost, and sealed", _lost, ("candidates", "downloads", "scores"))
    yield Alteration("a score changed, and sealed", _raised, ("dataset",))
    yield Alteration("counts changed, and sealed", _counted, (".stages/verdicts.json",))


def reseal(run: Path) -> None:
    """Write every record of a run anew, for the files that are there."""
    from laion_eo.file_record import digest_of, record_file
    from laion_eo.integrity.runs.records import STEPS
    from laion_eo.pipeline.run_dir import RunDir

    run_dir = RunDir(run)
    records = {step.name: run_dir.record(step.name) for step in STEPS}
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    for step in STEPS:
        old = records[step.name]
        assert old
        files = tuple(
            record_file(
                run,
                run / file.path,
                pq.read_metadata(run / file.path).num_rows
                if file.path.endswith(".parquet")
                else None,
            )
            for file in old.files
        )
        inputs = {}
        for name in step.needs:
            before = records[name]
            assert before
            inputs[name] = digest_of(before.files)
        new = old.model_copy(update={"files": files, "inputs": inputs})
        records[step.name] = new
        run_dir.records.save(step.name, new)
        manifest["stages"][step.name] = new.model_dump(mode="json")
    (run / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    run_dir.seal()


def _turned(run: Path) -> None:
    def turn(table: pa.Table) -> pa.Table:
        place = pc.index(table["kept"], value=True).as_py()
        values = table.to_pylist()
        values[place] |= {"kept": False, "filter": "min-size", "reason": "too nice"}
        return pa.Table.from_pylist(values, schema=table.schema)

    rows(run, "verdicts/part-*", turn)
    reseal(run)


def _lost(run: Path) -> None:
    rows(run, "candidates/part-*", dropped)
    reseal(run)


def _raised(run: Path) -> None:
    rows(run, "scores/part-00000-*", column("image_similarity", lambda value: value + 1e-6))
    reseal(run)


def _counted(run: Path) -> None:
    from laion_eo.pipeline.run_dir import RunDir

    records = RunDir(run).records
    record = records.load("verdicts")
    assert record
    counts = {**record.counts, "kept": record.counts["kept"] + 1}
    records.save("verdicts", record.model_copy(update={"counts": counts}))
    reseal(run)


RESEALED: tuple[Alteration, ...] = tuple(_resealed())
"""Alterations of a run whose records are all written anew: only the tables give them away."""
