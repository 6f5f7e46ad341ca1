"""Alterations of a finished run, and of a dataset alone: what somebody, or a disk, can do to them.

Each says which file, or table, a verification must name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from integrity.altering import (
    CARD,
    CROISSANT,
    HOWS,
    SHARD,
    VALUES,
    append,
    cast,
    column,
    consistent,
    copy,
    doubled,
    dropped,
    edit,
    harm,
    lacking,
    link,
    link_to,
    more,
    other_hash,
    put,
    remove,
    rename,
    reordered,
    rows,
    swap,
    swapped,
    text,
    wider,
    without,
)

from laion_eo.integrity.runs.records import NAMES

Alter: TypeAlias = Callable[[Path], None]
TABLES = NAMES[:-1]


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


# --- the lists -----------------------------------------------------------------------------------


def _damage() -> Iterator[Alteration]:
    """Every kind of file, damaged in every way."""
    stage_files = [(f"{stage}/part-*", stage) for stage in TABLES]
    own = [(name, name) for name in ("manifest.json", "run.toml", SHARD, CARD, CROISSANT)]
    records = [(f".stages/{name}.json",) * 2 for name in ("downloads", "dataset", "run")]
    others = [("images/*", "images/"), (".stages/history.jsonl",) * 2]
    for pattern, where in [*stage_files, *own, *records, *others]:
        for how in HOWS:
            alter = partial(harm, pattern=pattern, how=how)
            # A record that is a link says what it said: a run may read it. A history is never
            # written anew: a line that is damaged stays so.
            stays = pattern.startswith(".stages") and (how == "linked" or where.endswith("jsonl"))
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
        partial(link_to, name="images/passwd"),
        ("images/passwd",),
        stays=True,
    )
    yield Alteration(
        "a link in the dataset",
        partial(link_to, name="dataset/ver-0/passwd"),
        ("dataset/ver-0/passwd",),
    )
    yield Alteration(
        "an image encoded anew",
        partial(append, pattern="images/*"),
        ("images/",),
    )
    yield Alteration(
        "the groups of duplicates lack a row",
        _in_rows("duplicates.parquet", dropped),
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
        ("the untagged", r"\d+ of \d+ have none", "7 of 9 have none"),
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
