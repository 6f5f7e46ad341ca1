from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from integrity.alterations import OF_A_DATASET, OF_A_RUN, Alteration
from integrity.altering import put, text
from integrity.clean_runs import CLEAN_RUNS, Stop, go
from integrity.conftest import Rerun
from integrity.resealed import RESEALED
from made import MakeRun

from laion_eo import verify
from laion_eo.config import DatasetOptions
from laion_eo.dataset.card import render_card
from laion_eo.dataset.tree import write_tree
from laion_eo.errors import ConfigError, LaionEOError, RunError
from laion_eo.hub.cards import extend_section, load_from, merge_cards
from laion_eo.pipeline.manifest import Manifest
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.types import JSON

CLEAN_BY_DEFAULT = 5


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def name(alteration: Alteration) -> str:
    return alteration.name.replace("/", "-")


def some(alterations: Sequence[Alteration], every: int = 4) -> list[object]:
    """Return all of them, but mark most as slow."""
    return [
        pytest.param(one, marks=[] if place % every == 0 else pytest.mark.slow, id=name(one))
        for place, one in enumerate(alterations)
    ]


@pytest.mark.parametrize("alteration", some([*OF_A_RUN, *RESEALED]))
def test_an_altered_run_is_found(alteration: Alteration, altered: Path) -> None:
    alteration.alter(altered)
    found = verify(altered)
    assert not found.is_sound
    assert any(where in fault.where for fault in found.faults for where in alteration.where), (
        found.faults
    )


@pytest.mark.parametrize("alteration", some(OF_A_DATASET))
def test_an_altered_dataset_is_found(alteration: Alteration, altered: Path) -> None:
    alteration.alter(altered)
    found = verify(altered / "dataset")
    assert found.kind == "dataset"
    names = [where.removeprefix("dataset/") for where in alteration.where]
    assert any(where in fault.where for fault in found.faults for where in names), found.faults


def test_there_are_many_alterations() -> None:
    names = {one.name for one in (*OF_A_RUN, *RESEALED, *OF_A_DATASET)}
    assert len(OF_A_RUN) > 100
    assert len(names) > 180


@pytest.mark.parametrize("alteration", some(OF_A_RUN, 13))
def test_an_altered_run_is_mended_or_refused(
    alteration: Alteration, altered: Path, tiny_run: Path, rerun: Rerun
) -> None:
    wanted = files(tiny_run / "dataset")
    alteration.alter(altered)
    try:
        rerun(altered)
    except (LaionEOError, OSError) as error:
        line = str(error)  # as the command says it
        assert "\n" not in line
        assert any(Path(where).name in line for where in alteration.where), line
        return
    assert files(altered / "dataset") == wanted
    if not alteration.stays:
        assert verify(altered).faults == ()


def test_there_are_many_clean_runs() -> None:
    assert len(CLEAN_RUNS) >= 20


def check_clean(kind: str, data: dict[str, JSON], folder: Path) -> None:
    """Make a run, and find no fault: not in it, nor in its dataset, nor in a copy of that."""
    CLEAN_RUNS[kind](data, folder)
    found = verify(folder)
    assert found.faults == ()
    assert found.kind == "run"
    assert found.checked.rows > 0
    assert verify(folder, thorough=False).faults == ()
    assert verify(folder / "dataset").faults == ()
    assert verify(shutil.copytree(folder / "dataset", folder.with_name("copy"))).faults == ()


@pytest.mark.parametrize("kind", [*CLEAN_RUNS][:CLEAN_BY_DEFAULT])
def test_a_clean_run_has_no_fault(kind: str, tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    check_clean(kind, tiny_data, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*CLEAN_RUNS][CLEAN_BY_DEFAULT:])
def test_no_other_clean_run_has_a_fault(
    kind: str, tiny_data: dict[str, JSON], tmp_path: Path
) -> None:
    check_clean(kind, tiny_data, tmp_path / "run")


def test_nothing_is_changed(altered: Path) -> None:
    (altered / "of-mine.txt").write_text("a note")
    before = {path: path.lstat().st_mtime_ns for path in altered.rglob("*")}
    contents = files(altered)
    found = verify(altered)
    assert found.is_sound
    assert any("of-mine.txt" in note for note in found.notes)
    assert files(altered) == contents
    del before[altered / ".lock"]
    assert all(path.lstat().st_mtime_ns == time for path, time in before.items())


def test_what_was_checked_is_counted(tiny_run: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = verify(tiny_run, progress=lambda done, total: seen.append((done, total)))
    assert found.checked.files == len(seen)
    assert found.checked.bytes == seen[-1][0]
    assert all(done <= total for done, total in seen)
    size = sum(len(content) for content in files(tiny_run).values())
    assert found.checked.bytes >= size - len("duplicates")


@pytest.mark.parametrize("stage", ["anchors", "neighbors", "downloads", "scores", "dataset"])
def test_a_run_that_has_not_ended(stage: str, tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    go(tiny_data, tmp_path / "run", (), Stop(stage, 0))
    (fault,) = verify(tmp_path / "run").faults
    assert fault.where == ".stages/run.json"
    assert "has not ended" in fault.what
    assert stage in fault.what


def test_a_run_of_an_older_version(altered: Path) -> None:
    for path in (altered / ".stages").glob("*.json"):
        data = json.loads(path.read_text())
        for key in ("files", "checksum", "inputs"):
            data.pop(key, None)
        path.write_text(json.dumps(data))
    for name in ("run.json", "history.jsonl"):
        (altered / ".stages" / name).unlink()
    found = verify(altered)
    assert found.faults == ()
    assert any("kept no hashes" in note for note in found.notes)


_LANGUAGE_TABLE = re.compile(r"\| zh \|.*? have none[^\n]*\n", re.DOTALL)
_OF_ALL = """\
| zh | 17 | 34.0 % |
| en | 14 | 28.0 % |
| fr | 14 | 28.0 % |
| (no language) | 5 | 10.0 % |
"""


@pytest.mark.parametrize(
    ("edit", "is_sound"),
    [
        (lambda card: card, True),
        (lambda card: card.replace("have none", "have one"), False),
        (lambda card: re.sub(r"\| en \| (\d+) \| [\d.]+ %", r"| en | \1 | 1.0 %", card), False),
        (lambda card: _LANGUAGE_TABLE.sub(_OF_ALL, card), True),  # as earlier versions wrote it
        (lambda card: _LANGUAGE_TABLE.sub(_OF_ALL.replace("17", "16"), card), False),
    ],
)
def test_the_shares_of_the_languages(
    edit: Callable[[str], str], is_sound: bool, make_run: MakeRun
) -> None:
    card = make_run(rows=50) / "dataset" / "README.md"
    before = card.read_text("utf-8")
    card.write_text(edit(before), "utf-8")
    found = [fault.what for fault in verify(card.parent).faults if "languages" in fault.what]
    assert (found == []) == is_sound


def test_a_run_at_work_is_left_alone(altered: Path) -> None:
    with RunDir(altered).lock(), pytest.raises(RunError, match="another laion-eo works"):
        verify(altered)


def test_a_copy_that_cannot_be_written_to(altered: Path) -> None:
    (altered / ".lock").unlink()
    assert verify(altered).is_sound
    assert not (altered / ".lock").exists()


def test_images_of_no_row_are_a_note(altered: Path) -> None:
    content = b"of an earlier run"
    (altered / "images" / f"{hashlib.sha256(content).hexdigest()}.png").write_bytes(content)
    found = verify(altered)
    assert found.is_sound
    assert any("1 images of no row" in note for note in found.notes)


def test_quick_compares_images_by_their_size(altered: Path) -> None:
    path = sorted((altered / "images").iterdir())[0]
    path.write_bytes(bytes(path.stat().st_size))
    assert not verify(altered).is_sound
    assert verify(altered, thorough=False).is_sound
    path.write_bytes(b"")
    assert not verify(altered, thorough=False).is_sound


@pytest.mark.parametrize("shards", [1, 3])
def test_a_dataset_of_several_files(shards: int, tiny_run: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(tiny_run).dump()
    table = pq.read_table(tiny_run / "dataset/ver-0")
    rows = -(-table.num_rows // shards)
    options = DatasetOptions(config="ver-0")
    card = partial(render_card, options, table, manifest, [])
    write_tree(tmp_path / "tree", "ver-0", table, card, rows_per_shard=rows)
    assert len(list((tmp_path / "tree/ver-0").iterdir())) == shards
    assert verify(tmp_path / "tree").faults == ()
    sorted((tmp_path / "tree/ver-0").iterdir())[0].unlink()
    assert not verify(tmp_path / "tree").is_sound


def test_a_table_in_a_section_of_a_plugin_is_its_own(tiny_run: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(tiny_run).dump()
    table = pq.read_table(tiny_run / "dataset/ver-0")
    odd = "### Languages of the captions\n\n| xx | 1 | 0.1 % |\n\n| verdicts | kept | 1 |"
    card = partial(render_card, DatasetOptions(config="ver-0"), table, manifest, [odd])
    write_tree(tmp_path / "tree", "ver-0", table, card)
    assert verify(tmp_path / "tree").faults == ()


def repository(folder: Path, *datasets: Path) -> Path:
    """Lay out what releases of some datasets to one repository leave there."""
    card = ""
    for dataset in datasets:
        shutil.copytree(dataset, folder, dirs_exist_ok=True)
        (config,) = (path.name for path in dataset.iterdir() if path.is_dir())
        new = load_from((dataset / "README.md").read_text("utf-8"), "org/fields")
        card = merge_cards(extend_section(new, config, "### Figures"), card, config)
        put(folder, f"figures/{config}/map.png")
    (folder / "README.md").write_text(card, "utf-8")
    put(folder, ".gitattributes")
    put(folder, ".cache/huggingface/download/x.lock")
    return folder


def test_a_repository_of_the_hub(
    tiny_run: Path, altered: Path, rerun_as: Callable[[Path, str], None], tmp_path: Path
) -> None:
    rerun_as(altered, "ver-1")
    folder = repository(tmp_path / "repository", tiny_run / "dataset", altered / "dataset")
    found = verify(folder)
    assert (found.kind, found.faults) == ("dataset", ())
    assert len(found.notes) == 4
    shard = "ver-1/train-00000-of-00001.parquet"
    (folder / shard).write_bytes((folder / shard).read_bytes()[:-1])
    put(folder, "secrets.env")
    assert {shard, "secrets.env"} <= {fault.where for fault in verify(folder).faults}


def test_a_snapshot_in_the_cache_of_the_hub(tiny_run: Path, tmp_path: Path) -> None:
    """Its files are links to blobs, which is how the Hub's client keeps them."""
    home = tmp_path / "datasets--org--fields"
    snapshot = repository(home / "snapshots" / ("0" * 40), tiny_run / "dataset")
    (home / "blobs").mkdir()
    for place, path in enumerate(sorted(p for p in snapshot.rglob("*") if p.is_file())):
        path.rename(home / "blobs" / str(place))
        path.symlink_to(home / "blobs" / str(place))
    assert verify(snapshot).faults == ()
    (snapshot / "passwd").symlink_to("/etc/passwd")
    assert [fault.where for fault in verify(snapshot).faults] == ["passwd"]


@pytest.mark.parametrize("name", ["nothing", "file", "empty", "above"])
def test_what_is_nothing_of_ours(name: str, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    shutil.copytree(tiny_run / "dataset", tmp_path / "above/dataset")
    with pytest.raises(ConfigError) as error:
        verify(tmp_path / name)
    line = str(error.value)
    assert str(tmp_path / name) in line
    assert "\n" not in line
    if name == "above":
        assert f"Did you mean {tmp_path}/above/dataset?" in line


HOSTILE = {
    "README.md": [
        *(b"", b"\xff", b"---\n- 1\n---\n", b"---\n" + b"[" * 10_000),
        b"---\n{a: &a [*a]}\n---\n",
    ],
    "croissant-ver-0.json": [b"", b"null", b"[]", b'{"distribution": 1}', b"9" * 5_000, b"\xff"],
    "ver-0/train-00000-of-00001.parquet": [b"", b"PAR1", b"PAR1" + bytes(64) + b"PAR1"],
    "ver-0/train-00000-of-99999999999999.parquet": [b""],
    "croissant-\x1b[31m.json": [b"{}"],
}


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name, contents in HOSTILE.items() for content in contents],
)
def test_foreign_bytes_are_faults(name: str, content: bytes, altered: Path) -> None:
    path = altered / "dataset" / name
    path.write_bytes(content)
    assert not verify(altered / "dataset").is_sound
    assert not verify(altered).is_sound


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("config_name: ver-0", "config_name: /etc"),
        ("config_name: ver-0", "config_name: ../.."),
        ("config_name: ver-0", r'config_name: "\\e[31m"'),
        (r"num_examples: \d+", f"num_examples: 0x{'f' * 9_000}"),
        (r"\| verdicts \| kept \| \d+", f"| verdicts | kept | {'9' * 9_000}"),
        ("- config_name: ver-0\n  features", "- config_name: [1]\n  features"),
    ],
)
def test_a_foreign_card_is_a_fault(found: str, instead: str, altered: Path) -> None:
    text(altered, "dataset/README.md", found, instead)
    assert any(fault.where == "README.md" for fault in verify(altered / "dataset").faults)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize(
    "name",
    [
        *("manifest.json", "run.toml", "duplicates.parquet", ".stages/scores.json"),
        *(".stages/run.json", ".stages/scores.0a.progress", "scores/pipe", "images/pipe"),
        *("dataset/README.md", "dataset/croissant-ver-0.json", "dataset/pipe"),
    ],
)
def test_a_pipe_is_a_fault(name: str, altered: Path) -> None:
    """It is not read, which would never end."""
    (altered / name).unlink(missing_ok=True)
    os.mkfifo(altered / name)
    assert any(fault.where == name for fault in verify(altered).faults)
    assert verify(altered / "dataset").is_sound is not name.startswith("dataset/")


def test_from_inside(altered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(altered)
    assert verify(".").is_sound
    assert verify("dataset").is_sound
    (altered / "dataset/README.md").unlink()
    assert "dataset/README.md: it is gone" in map(str, verify(".").faults)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"[" * 99_999, b"\xff", b"1e999"])
@pytest.mark.parametrize(
    "name", ["manifest.json", "run.toml", ".stages/scores.json", ".stages/run.json"]
)
def test_foreign_records_are_faults(name: str, content: bytes, altered: Path) -> None:
    (altered / name).write_bytes(content)
    assert any(fault.where == name for fault in verify(altered).faults)


def test_a_pool(tiny_data: dict[str, JSON], tmp_path: Path) -> None:
    pytest.importorskip("laion_eo.pools.checking")
    pool = shutil.copytree(tiny_data["retriever"]["pool"], tmp_path / "pool")
    found = verify(pool)
    assert (found.kind, found.faults) == ("pool", ())
    assert found.checked.bytes == sum(len(content) for content in files(pool).values())
    path = next((pool / "img_emb").glob("*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    (fault,) = verify(pool).faults
    assert fault.where == path.relative_to(pool).as_posix()
