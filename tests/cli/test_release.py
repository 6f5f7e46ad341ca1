from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.hub_state import LoopbackHub
from made import MakeRun
from public_pictures import HOST

from laion_eo import pipeline
from laion_eo.cli import COMMANDS, main
from laion_eo.pipeline import RunResult
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON


def command(*args: str) -> int:
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(args)
    return int(caught.value.code or 0)


def test_dry_run_shows_card_and_files(
    hub: LoopbackHub, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tiny_run)
    assert command("release", run, "--repo", "org/x", "--config", "ver-0", "--dry-run") == 0
    said = capsys.readouterr().out
    assert said.startswith("---\nlicense: ")
    assert "would go to org/x, which does not exist yet" in said
    assert "  ver-0/train-00000-of-00001.parquet  " in said
    assert hub.repos == {}


def test_release_says_how_to_load_it(
    hub: LoopbackHub,
    tiny_data: dict[str, JSON],
    altered: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = str(altered)
    assert command("release", run, "--repo", "org/x", "--tag", "v1", "--public") == 0
    assert 'load_dataset("org/x", ..., revision="v1")' in capsys.readouterr().out
    assert not hub.repos["org/x"].private
    assert command("release", run, "--repo", "org/x", "--tag", "v1") == 0
    assert capsys.readouterr().out.startswith("Released already: ")
    assert command("release", run, "--repo", "org/x", "--tag", "v1", "--dry-run") == 0
    assert "--- is released already: " in capsys.readouterr().out
    pipeline.run(tiny_data, altered, ["dataset.pretty_name=Another"], Registry.discover([colours]))
    assert command("release", run, "--repo", "org/x", "--tag", "v1") == 2
    said = capsys.readouterr().err
    assert said.startswith("laion-eo: org/x has a release v1 already")
    assert said.count("\n") == 1


@pytest.fixture
def with_token(tiny_data: dict[str, JSON], tmp_path: Path) -> Path:
    """A run over pictures of which the first has a token in its URL."""
    registry = Registry.discover([colours])
    names = ["green00.png?access_token=sEcReT", *(f"green{n:02d}.png" for n in range(1, 6))]
    urls = pa.table({"url": [f"http://{HOST}/{name}" for name in names]})
    pq.write_table(urls, tmp_path / "urls.parquet")
    fetch = tiny_data["downloader"]
    pool = tmp_path / "pool"
    index(tmp_path / "urls.parquet", pool, {"use": "colours"}, None, registry, downloader=fetch)
    data = {**tiny_data, "retriever": {**tiny_data["retriever"], "pool": str(pool)}}
    data["filters"] = [{"use": "min-size"}]
    return pipeline.run(data, tmp_path / "run", (), registry).folder


def test_rows_that_may_not_be_published(
    hub: LoopbackHub, with_token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(with_token)
    for options in ((), ("--dry-run",)):
        assert command("release", run, "--repo", "org/x", *options) == 2
        said = capsys.readouterr()
        assert said.err.startswith("laion-eo: ver-0: 1 of 6 rows cannot be published")
        assert said.err.count("\n") == 1
        assert "sEcReT" not in said.err + said.out
    assert hub.requests == []
    drop = ("release", run, "--repo", "org/x", "--drop-unpublishable")
    assert command(*drop, "--dry-run") == 0
    left_out = "left out: 1 row whose URL may not be published"
    assert capsys.readouterr().out.endswith(f"--- {left_out}\n")
    assert command(*drop) == 0
    told = f"Left out: 1 row whose URL may not be published; {run}/releases.jsonl says which"
    assert told in capsys.readouterr().out
    assert command("verify", run) == 0  # what a release notes is no stranger
    assert "note:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--repo", "org/x", "--config", "ver-1"), "its dataset is 'ver-0', not 'ver-1'"),
        (("--repo", "no-slash"), "release: 'repo': String should match pattern"),
        (("--repo", "org/x", "--tag", "v1", "--pull-request"), "a pull request cannot have a tag"),
    ],
)
def test_wrong_commands(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: str
) -> None:
    assert command("release", str(make_run()), *args) == 2
    assert words in capsys.readouterr().err


def test_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("release", str(tmp_path), "--repo", "org/x") == 2
    assert "no finished dataset in this folder" in capsys.readouterr().err


def test_damaged_dataset_is_not_released(
    hub: LoopbackHub, altered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = altered / "dataset" / "ver-0" / "train-00000-of-00001.parquet"
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-9])
    assert command("release", str(altered), "--repo", "org/x") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"laion-eo: {shard}: it has {size - 9:,} bytes instead of {size:,}")
    assert "nothing is released" in said
    assert said.count("\n") == 1
    shard.unlink()
    assert command("release", str(altered), "--repo", "org/x") == 2
    assert f"{shard}: it is gone" in capsys.readouterr().err
    assert hub.requests == []


def test_pull_names_the_configurations(
    hub: LoopbackHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.put("org/x", {"ver-0/a.csv": b"a\n", "ver-1/a.csv": b"a\n"})
    assert command("pull", "ver-9", "--repo", "org/x") == 2
    assert "no configuration 'ver-9'. Its configurations: ver-0, ver-1." in capsys.readouterr().err
    assert command("pull", "ver-0", "--repo", "org/x") == 2
    assert "not a table of LAION-EO" in capsys.readouterr().err


def test_pull_of_another_repository_does_not_change_a_checkout(
    hub: LoopbackHub,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder in ("laion_eo", "hf_dataset/laion_eo"):
        (tmp_path / "checkout" / folder).mkdir(parents=True)
        (tmp_path / "checkout" / folder / "README.md").touch()
    monkeypatch.chdir(tmp_path / "checkout")
    assert command("release", str(tiny_run), "--repo", "org/x") == 0
    before = sorted(tmp_path.joinpath("checkout").rglob("*"))
    assert command("pull", "ver-0", "--repo", "org/x") == 0
    said = capsys.readouterr().out
    assert re.search(r"ver-0: \d+ rows of commit", said)
    assert "In this checkout laion_eo still means the published dataset" in said
    assert sorted(tmp_path.joinpath("checkout").rglob("*")) == before


def test_check_links_prints_the_reasons(
    finished_run: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "check-links" in COMMANDS
    out = tmp_path / "links.parquet"
    options = ("--out", str(out), "--set", 'allow_hosts=["127.0.0.1"]')
    assert command("check-links", str(finished_run.folder), *options) == 0
    said = capsys.readouterr().out
    assert re.search(r"ok\s+│\s+200\s+│\s+30 ", said)
    assert str(out) in said
