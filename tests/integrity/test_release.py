"""What may not be published stops a release, and the Hub hears nothing of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun
from releases import REPO, release_made

from laion_eo.errors import ConfigError, DataError
from laion_eo.hub.releasing import Published
from laion_eo.integrity.release import find_release, release
from laion_eo.testing.web import GREEN, picture

SHARD = "ver-0/train-00000-of-00001.parquet"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link_to(target: str | Path) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def linked_away(path: Path) -> None:
    """Move a file or a folder elsewhere, and leave a link to it."""
    run = next(place.parent for place in (path, *path.parents) if place.name == "dataset")
    elsewhere = run / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def text(path: Path) -> None:
    path.write_text("TOKEN=sEcReT")


ALTERATIONS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a stranger beside the rows": ("dataset/ver-0/secrets.env", text, "does not name it"),
    "a stranger beside the card": ("dataset/secrets.env", text, "does not name it"),
    "a hidden file": ("dataset/ver-0/.DS_Store", text, "does not name it"),
    "more rows": ("dataset/ver-0/train-00001-of-00002.parquet", text, "does not name it"),
    "another card": ("dataset/ver-0/README.md", text, "does not name it"),
    "a link": ("dataset/ver-0/passwd", link_to("/etc/passwd"), "it is a link"),
    "a link to nothing": ("dataset/gone", link_to("nowhere"), "it is a link"),
    "a link to a folder": ("dataset/more", link_to("/etc"), "it is a link"),
    "a subfolder": ("dataset/ver-0/more", Path.mkdir, "does not name it"),
    "another configuration": ("dataset/ver-1", Path.mkdir, "does not name it"),
    "a pipe": ("dataset/ver-0/pipe", os.mkfifo, "does not name it"),
    "rows by a link": (f"dataset/{SHARD}", linked_away, "it is a link"),
    "a card by a link": ("dataset/README.md", linked_away, "it is a link"),
    "a folder by a link": ("dataset/ver-0", linked_away, "it is a link"),
    "all of it by a link": ("dataset", linked_away, "it is a link"),
    "no rows": (f"dataset/{SHARD}", Path.unlink, "it is gone"),
    "no card": ("dataset/README.md", Path.unlink, "it is gone"),
    "no Croissant": ("dataset/croissant-ver-0.json", Path.unlink, "it is gone"),
    "no folder": ("dataset", shutil.rmtree, "there is no such folder"),
    "rows flipped": (f"dataset/{SHARD}", flip, "its content has changed"),
    "card flipped": ("dataset/README.md", flip, "its content has changed"),
    "Croissant flipped": ("dataset/croissant-ver-0.json", flip, "its content has changed"),
    "rows cut": (f"dataset/{SHARD}", lambda p: os.truncate(p, 999), "it has 999 bytes instead of"),
    "no manifest": ("manifest.json", Path.unlink, "there is no such manifest"),
    "a manifest flipped": ("manifest.json", lambda p: os.truncate(p, 99), "not a run's manifest"),
    "a picture by a link": ("report/a.png", link_to("/etc/passwd"), "it is a link"),
    "pictures by a link": ("report/figures", link_to("/etc"), "it is a link"),
    "a picture that is none": ("report/a.png", text, "not a PNG"),
    "a drawing that is none": ("report/a.svg", text, "not an SVG"),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_stops_a_release(
    name: str, dry_run: bool, hub: LoopbackHub, make_run: MakeRun
) -> None:
    run = make_run()
    place, alter, words = ALTERATIONS[name]
    (run / place).parent.mkdir(exist_ok=True)
    alter(run / place)
    with pytest.raises(DataError, match=words) as caught:
        release_made(run, REPO, dry_run=dry_run, tag="v1")
    assert str(run / place) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "sEcReT" not in str(caught.value)
    assert hub.requests == []
    assert not (run / "releases.jsonl").exists()


def test_a_report_by_a_link(hub: LoopbackHub, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (tmp_path / "pictures").mkdir()
    picture(1, GREEN).save(tmp_path / "pictures" / "a.png")
    (run / "report").symlink_to(tmp_path / "pictures")
    with pytest.raises(DataError, match="report: it is a link"):
        release_made(run, REPO)
    assert hub.requests == []


def test_a_run_directory_may_be_reached_by_a_link(
    hub: LoopbackHub, make_run: MakeRun, tmp_path: Path
) -> None:
    (tmp_path / "latest").symlink_to(make_run())
    release_made(tmp_path / "latest", REPO)
    assert f"{SHARD}" in hub.repos[REPO].at("main").files


class SwappedOnOpening:
    """Writes other bytes into a file once somebody has begun to read the next one."""

    def __init__(self, victim: Path, trigger: Path) -> None:
        self.victim, self.trigger = victim, trigger
        self._open = os.open

    def __call__(self, path: str | Path, *args: int, **options: int) -> int:
        if str(path) == str(self.trigger):
            self.victim.write_bytes(b"TOKEN=sEcReT")
        return self._open(path, *args, **options)


@pytest.mark.parametrize("read_first", [True, False])
def test_a_file_exchanged_meanwhile(
    read_first: bool, hub: LoopbackHub, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read first is released as it was; what is read later is refused."""
    run = make_run()
    names = [record.path for record in find_release(run).files]
    first, last = run / "dataset" / names[0], run / "dataset" / names[-1]
    victim, trigger = (first, last) if read_first else (last, first)
    before = victim.read_bytes()
    monkeypatch.setattr("os.open", SwappedOnOpening(victim, trigger))
    if read_first:
        release_made(run, REPO)
        found = hub.repos[REPO].file("main", victim.relative_to(run / "dataset").as_posix())
        assert found.content == before
    else:
        with pytest.raises(DataError, match="bytes instead of"):
            release_made(run, REPO)
        assert hub.requests == []
    assert victim.read_bytes() == b"TOKEN=sEcReT"


def test_the_copy_is_gone_afterwards(
    hub: LoopbackHub, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    run = make_run()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    release_made(run, REPO)
    assert list((tmp_path / "copies").iterdir()) == []
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert hub.repos[REPO].history("main")[0].title == "Release ver-0"


def test_a_run_of_a_version_that_named_no_files(make_run: MakeRun) -> None:
    run = make_run()
    manifest = (run / "manifest.json").read_text()
    start = manifest.index('"files": [{"path": "dataset/')
    end = manifest.index("]", start) + 1
    (run / "manifest.json").write_text(f'{manifest[:start]}"files": []{manifest[end:]}')
    with pytest.raises(DataError, match="does not name the files"):
        release_made(run, REPO)


def test_a_run_whose_dataset_is_not_finished(make_run: MakeRun) -> None:
    run = make_run()
    manifest = (run / "manifest.json").read_text()
    other = manifest.replace('"dataset": {"fingerprint"', '"other": {"fingerprint"')
    (run / "manifest.json").write_text(other)
    with pytest.raises(ConfigError, match="not finished"):
        release_made(run, REPO)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "place",
    [
        "scores/part-00000-*",
        "images/*",
        ".stages/verdicts.json",
        "manifest.json",
        "dataset/README.md",
        f"dataset/{SHARD}",
    ],
)
def test_a_run_is_verified_first(
    place: str, dry_run: bool, hub: LoopbackHub, altered: Path
) -> None:
    """All of it, though a release needs only its dataset."""
    path = sorted(altered.glob(place))[0]
    flip(path)
    with pytest.raises(DataError) as caught:
        release(altered, REPO, dry_run=dry_run)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hub.requests == []


def test_a_stranger_stops_the_release_of_a_whole_run(hub: LoopbackHub, altered: Path) -> None:
    (altered / "dataset" / "ver-0" / "secrets.env").write_text("TOKEN=sEcReT")
    (altered / "dataset" / "passwd").symlink_to("/etc/passwd")
    words = r"dataset/passwd: .*, and 2 more; nothing is released. `laion-eo verify .*` names all"
    with pytest.raises(DataError, match=words):
        release(altered, REPO)
    assert hub.requests == []


def test_a_run_that_was_stopped_is_not_released(hub: LoopbackHub, altered: Path) -> None:
    (altered / ".stages" / "run.json").unlink()
    with pytest.raises(DataError, match=r"run\.json: it is not there, so the run has not ended"):
        release(altered, REPO)
    assert hub.requests == []


def test_a_sound_run_is_released(hub: LoopbackHub, altered: Path) -> None:
    seen: list[tuple[int, int]] = []
    done = release(altered, REPO, progress=lambda checked, total: seen.append((checked, total)))
    assert isinstance(done, Published)
    assert seen
    found = hub.repos[REPO].file("main", SHARD).content
    assert found == (altered / "dataset" / SHARD).read_bytes()
