"""The files of a run that leave this machine, checked against its records and for what is private.

A run directory says where things lie on its owner's machine. What is written here for others has
those paths shortened and secrets hidden, and is searched for both before it is handed over.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w
from pydantic import JsonValue

from laion_eo.dataset.public import HIDDEN, scrubbed
from laion_eo.errors import ConfigError, DataError
from laion_eo.file_record import FileRecord, fault_of, record_file
from laion_eo.pipeline.manifest import MANIFEST, Manifest
from laion_eo.pipeline.run_dir import RUN_FILE, RunDir

DATASET = "dataset"
_TEXTS = (".json", ".md", ".toml")
_CREDENTIALS = re.compile(r"//([^/\s?#@]+)@")


def finished_manifest(run: Path) -> Manifest:
    """Return the manifest of a run that is finished, as its seal vouches for it.

    Raises:
        ConfigError: It is not a finished run.
        DataError: A file of it is not what its records say.
    """
    run_dir = RunDir(run)
    seal = run_dir.records.seal()
    if seal is None:
        raise ConfigError(f"{run}: no finished run in this folder; `laion-eo run` makes one.")
    for file in seal.files:
        if fault := run_dir.fault(file):
            raise DataError(f"{run / file.path}: {fault}; run `laion-eo run` again.")
    manifest = Manifest.load(run)
    if run_dir.all_records(manifest.stages) != manifest.stages or DATASET not in manifest.stages:
        raise DataError(f"{run / MANIFEST}: not of this run's stages; run `laion-eo run` again.")
    if damage := run_dir.damage(DATASET):
        raise DataError(f"{run / damage}; run `laion-eo run` again.")
    return manifest


def copy_payload(run: Path, manifest: Manifest, folder: Path, tables: bool) -> list[FileRecord]:
    """Copy the dataset, and the manifest and the run file as they may be published.

    Args:
        run: The run directory.
        manifest: Its manifest.
        folder: Where to; empty.
        tables: Copy the tables of the stages, too.

    Returns:
        The files, in the order of the stages; those of the run itself come first.

    Raises:
        DataError: A file is not what its record says, or names files of this machine.
    """
    public = scrubbed(manifest.dump())
    resolved = scrubbed(tomllib.loads((run / RUN_FILE).read_text("utf-8")))
    if not isinstance(public, dict) or not isinstance(resolved, dict):
        raise TypeError("a table stays a table")
    (folder / MANIFEST).write_text(json.dumps(public, indent=1) + "\n", "utf-8")
    (folder / RUN_FILE).write_text(tomli_w.dumps(resolved), "utf-8")
    files = [record_file(folder, folder / name) for name in (RUN_FILE, MANIFEST)]
    for name, stage in manifest.stages.items():
        if tables or name == DATASET:
            files += stage.files
            for file in stage.files:
                _copy(run, file, folder)
    refuse_private(folder, private_patterns(run, manifest))
    return files


def _copy(run: Path, file: FileRecord, folder: Path) -> None:
    source, copy = run / file.path, folder / file.path
    if source.is_symlink() or not source.is_file():
        raise DataError(f"{source}: {fault_of(run, file)}; run `laion-eo run` again.")
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, copy, follow_symlinks=False)
    if fault := fault_of(folder, file, thorough=True):
        raise DataError(f"{source}: {fault}; run `laion-eo run` again.")


def private_patterns(run: Path, manifest: Manifest) -> list[str]:
    """Return regular expressions of what may not leave this machine: its paths, and secrets.

    They are of the kind that Python and RE2 read alike.
    """
    paths = {str(run.resolve()), str(Path.home())}
    secrets: set[str] = set()
    for said in (manifest.run, manifest.resolved.model_dump(mode="json")):
        for text, public in _hidden(said, scrubbed(said)):
            (secrets if public == HIDDEN else paths).add(text)
            secrets.update(_CREDENTIALS.findall(text))
        secrets.update(os.environ.get(name, "") for name in _references(said))
    # A path of this machine is none where it is the end of a longer one, or a part of a URL.
    ends = [path.rstrip("/\\") for path in paths]
    found = [rf"(?:^|[^\w/.~%-]){re.escape(path)}(?:$|\W)" for path in ends if len(path) > 3]
    return sorted([*found, *(re.escape(text) for text in secrets if len(text) > 3)])


def _hidden(value: JsonValue, public: object) -> Iterator[tuple[str, object]]:
    """Yield the texts that are not public, each with what stands in its place."""
    match value, public:
        case str(), _ if value != public:
            yield value, public
        case dict(), dict():
            for key, item in value.items():
                yield from _hidden(item, public[key])
        case list(), list():
            for item, other in zip(value, public, strict=True):
                yield from _hidden(item, other)


def _references(value: JsonValue) -> Iterator[str]:
    """Yield the environment variables that hold secrets: those of ``{env = "NAME"}``."""
    match value:
        case {"env": str(name), **rest} if not rest:
            yield name
        case dict():
            for item in value.values():
                yield from _references(item)
        case list():
            for item in value:
                yield from _references(item)


def refuse_private(folder: Path, patterns: Sequence[str]) -> None:
    """Refuse files that hold what is private, or tables with links to files.

    Args:
        folder: With the files.
        patterns: Of :func:`private_patterns`.

    Raises:
        DataError: The message names the file, and where a table has it.
    """
    texts = [re.compile(pattern) for pattern in patterns]
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _TEXTS:
            # JSON and TOML have each backslash of a Windows path twice.
            content = path.read_text("utf-8", errors="replace").replace("\\\\", "\\")
            if any(text.search(content) for text in texts):
                raise DataError(f"{name}: names a path or a secret of this machine; not exported.")
        elif path.suffix == ".parquet":
            _refuse_table(name, path, patterns)


def _refuse_table(name: str, path: Path, patterns: Sequence[str]) -> None:
    with pq.ParquetFile(path) as file:
        columns = [field.name for field in file.schema_arrow if _is_text(field.type)]
        for batch in file.iter_batches(columns=columns):
            for column in columns:
                found = pc.match_substring_regex(batch[column], r"^\s*file:", ignore_case=True)
                for pattern in patterns:
                    found = pc.or_(found, pc.match_substring_regex(batch[column], pattern))
                if count := pc.sum(found).as_py() or 0:
                    raise DataError(
                        f"{name}: its column {column!r} names paths or secrets of this machine, "
                        f"{count:,} times at least; not exported."
                    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
