"""A run directory: its records, every file that they name, every table against the others."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from laion_eo.builtin.filters.duplicates import GROUPS
from laion_eo.dataset.receipt import RECEIPT
from laion_eo.files import WORKING
from laion_eo.fingerprint import file_sha256
from laion_eo.hub.history import RELEASES
from laion_eo.integrity.datasets.checks import check_dataset
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.runs.groups import check_groups
from laion_eo.integrity.runs.records import (
    NAMES,
    RECORDS,
    Recorded,
    check_records,
    is_of_an_older_version,
)
from laion_eo.integrity.runs.relations import check_tables
from laion_eo.integrity.tables import read_whole
from laion_eo.integrity.walking import is_link, plain_files
from laion_eo.pipeline.manifest import MANIFEST
from laion_eo.pipeline.run_dir import RUN_FILE
from laion_eo.pipeline.runner import TRACEBACK
from laion_eo.pipeline.stages import Publishing
from laion_eo.schema import (
    ANCHOR_SCORES_FIXED,
    ANCHORS,
    CANDIDATES,
    DOWNLOADS,
    EMBEDDINGS,
    FITTED_FIXED,
    LANGUAGES,
    NEIGHBORS,
    SCORES_FIXED,
    VERDICTS,
)

IMAGES = "images"
DATASET = Publishing.name
TABLES = tuple(name for name in NAMES if name != DATASET)
SCHEMAS = {
    "anchors": ANCHORS,
    "neighbors": NEIGHBORS,
    "candidates": CANDIDATES,
    "downloads": DOWNLOADS,
    "embeddings": EMBEDDINGS,
    "scores": SCORES_FIXED,
    "fitted_scores": FITTED_FIXED,
    "anchor_scores": ANCHOR_SCORES_FIXED,
    "languages": LANGUAGES,
    "verdicts": VERDICTS,
}
_OPEN = (SCORES_FIXED, FITTED_FIXED, ANCHOR_SCORES_FIXED)
"""Those that the columns of scorers follow."""
_OWN_FILES = (MANIFEST, RUN_FILE, ".lock", TRACEBACK, GROUPS, RELEASES, RECEIPT, "labels.csv")
_IN_WORK = re.compile(
    r"downloads/journal-[0-9a-f]{16}\.jsonl|neighbors/\.shards/.+\.npz|"
    r"(anchors|embeddings)/\.shards/[0-9a-f]{64}\.parquet"
)
"""What stages keep until they are complete, and check themselves."""
_IMAGE = re.compile(r"([0-9a-f]{64})\.[a-z0-9]+")


def check_run(findings: Findings) -> None:
    """Check a run directory."""
    root = findings.root
    if is_of_an_older_version(root):
        findings.note(
            f"{RECORDS}: written by a version of laion-eo that kept no hashes, so nothing vouches "
            "for the tables; the next run makes them again"
        )
        if (root / DATASET).is_dir():
            check_dataset(findings, root / DATASET)
        return
    recorded = check_records(findings)
    _check_top(findings)
    for name in TABLES:
        _refuse_strangers(findings, name, recorded)
    _check_folders_of_links(findings)
    tables = _read_tables(findings, recorded)
    _check_images(findings, tables.get("downloads"))
    check_tables(findings, tables, recorded)
    check_groups(findings, tables.get("verdicts"), recorded)
    if DATASET in recorded.records:
        _check_dataset(findings, recorded)
    elif is_link(root / DATASET):
        findings.fault(root / DATASET, "it is a link")


def _check_top(findings: Findings) -> None:
    """Look at what lies in the run directory itself."""
    for path in sorted(findings.root.iterdir()):
        name = path.name
        if name.endswith(WORKING):
            findings.fault(path, "a killed process left it; the next run removes it")
        elif name in _OWN_FILES and (path.is_symlink() or not path.is_file()):
            findings.fault(path, "it is a link" if path.is_symlink() else "it is no file")
        elif name not in (*_OWN_FILES, *NAMES, IMAGES, RECORDS):
            findings.note(f"{name}: no run of laion-eo leaves it, and nothing vouches for it")


def _check_folders_of_links(findings: Findings) -> None:
    """Refuse a folder of tables that is a link: whoever copies the run would not have its files."""
    for name in (*TABLES, RECORDS):
        path = findings.root / name
        if path.is_symlink():
            findings.fault(path, "it is a link")
    if (findings.root / IMAGES).is_symlink():  # they are many, and may lie on another disk
        findings.note(f"{IMAGES}: it is a link; what it leads to was checked")


def _refuse_strangers(findings: Findings, stage: str, recorded: Recorded) -> None:
    """Note every file in a stage's folder that no record names."""
    folder = findings.root / stage
    if folder.is_symlink() or not folder.exists():
        return  # noted elsewhere: by the records of its files
    if not folder.is_dir():
        findings.fault(folder, "it is no folder")
        return
    vouched = recorded.names()
    is_in_work = stage not in recorded.records
    for path in plain_files(findings, folder):
        name = findings.name(path)
        if name in vouched or (is_in_work and _IN_WORK.fullmatch(name)):
            continue
        if name.endswith(WORKING):
            findings.fault(path, "a killed process left it; the next run removes it")
        else:
            findings.fault(path, "no record names it")


def _read_tables(findings: Findings, recorded: Recorded) -> dict[str, pa.Table]:
    """Return the tables of the stages all of whose files are what their records say."""
    found: dict[str, pa.Table] = {}
    for stage in TABLES:
        record = recorded.records.get(stage)
        if record is None:
            continue
        parts = []
        for file in record.files:
            if findings.is_faulty(file.path):
                continue
            path, schema = findings.root / file.path, SCHEMAS[stage]
            table = read_whole(findings, path, schema, exact=schema not in _OPEN)
            if table is None:
                continue
            if table.num_rows != file.rows:
                findings.fault(
                    path, f"it has {table.num_rows:,} rows, and its record says {file.rows}"
                )
            parts.append(table)
        if any(table.schema != parts[0].schema for table in parts):
            findings.fault(findings.root / stage, "its parts have different columns")
        elif parts and len(parts) == len(record.files):
            found[stage] = pa.concat_tables(parts)
    return found


def _check_images(findings: Findings, downloads: pa.Table | None) -> None:
    """Compare every image with its name, which is the hash of its content, and with its row."""
    folder = findings.root / IMAGES
    wanted: dict[str, int] = {}
    if downloads is not None:
        rows = downloads.select(["filename", "bytes"]).to_pylist()
        wanted = {row["filename"]: row["bytes"] for row in rows if row["filename"] is not None}
    there = set()
    if folder.is_dir():
        there = {path.name for path in _images(findings, folder, wanted, downloads is not None)}
    for name in sorted(wanted.keys() - there):
        path = folder / Path(name).name
        if not findings.is_faulty(path):
            findings.fault(path, "it is gone")


def _images(
    findings: Findings, folder: Path, wanted: dict[str, int], is_known: bool
) -> Collection[Path]:
    """Check the images that are there, and return them."""
    found, others = [], 0
    for path in plain_files(findings, folder):
        found.append(path)
        match = _IMAGE.fullmatch(path.name)
        if match is None or path.parent != folder:
            left = path.name.endswith(WORKING)
            what = "a killed process left it" if left else "no download is called so"
            findings.fault(path, what)
            continue
        size = path.stat().st_size
        if path.name in wanted and size != wanted[path.name]:
            findings.fault(path, f"it has {size:,} bytes instead of {wanted[path.name]:,}")
        elif (findings.thorough or path.name not in wanted) and file_sha256(path) != match[1]:
            findings.fault(path, "its content has changed: its name is the SHA-256 that it had")
        elif path.name not in wanted:
            others += 1
        findings.checked(size)
    if others and is_known:
        findings.note(f"{IMAGES}: {others:,} images of no row; earlier options had fetched them")
    return found


def _check_dataset(findings: Findings, recorded: Recorded) -> None:
    """Check the dataset: what is in its folder, and what its files say of each other."""
    folder = findings.root / DATASET
    if folder.is_symlink() or not folder.is_dir():
        findings.fault(folder, "it is a link" if folder.is_symlink() else "it is gone")
        return
    vouched = recorded.names()
    for path in plain_files(findings, folder):
        if findings.name(path) not in vouched:
            findings.fault(path, "no record names it")
    configs = check_dataset(findings, folder)
    if recorded.manifest is not None:
        config = recorded.manifest.resolved.dataset.config
        if list(configs) != [config]:
            findings.fault(folder, f"it has {', '.join(configs)}, and the run makes {config}")
