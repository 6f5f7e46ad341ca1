from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from commands import call
from PIL import Image
from processes import at_a_terminal, source_folders


@pytest.fixture(autouse=True)
def dogs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pictures, in a folder of the current one."""
    monkeypatch.chdir(tmp_path)
    folder = Path("dogs")
    folder.mkdir()
    for seed in range(12):
        noise = np.random.default_rng(seed).integers(0, 255, (240, 320, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{seed}.jpg")
    return folder


def init_at_a_terminal(answers: str, *args: str) -> tuple[str, int]:
    """Do the command at a terminal of its own; return what stands on it, and the exit code."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(source_folders())}
    return at_a_terminal([sys.executable, "-m", "laion_eo", "init", *args], answers, env)


def test_without_a_terminal_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("init", "--anchors", "dogs", "--prompt", "a photo of a dog") == 0
    text = capsys.readouterr().out
    assert text == (
        "Anchors: 12 images, sides of 240 to 320 pixels; normalizer none: the anchors are pictures "
        "already.\n"
        "Note: pools/my-pool: there is no pool yet; `laion-eo index` makes it.\n"
        "Note: dataset.license is not chosen: a release is refused until it is.\n"
        "dogs.toml: a run file for 'Dogs'. Read it, then:\n"
        "  laion-eo plan dogs.toml\n"
    )
    assert tomllib.loads(Path("dogs.toml").read_text())["dataset"]["license"] == "unknown"
    assert call("init", "--anchors", "dogs", "--prompt", "a photo of a dog") == 2
    assert "dogs.toml: is there already" in capsys.readouterr().err


def test_options_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [part for n in range(12) for part in ("--text", f"dog {n}")]
    options = ["--title", "All dogs", "--license", "cc0-1.0", "--tag", "dogs", "--tag", "animals"]
    out = ["--out", "x.toml", "--embedder", "tiny", "--pool", "p"]
    assert call("init", *texts, "--prompt", "a dog", *options, *out) == 0
    assert capsys.readouterr().out.startswith("Anchors: 12 texts.\n")
    said = tomllib.loads(Path("x.toml").read_text())
    assert said["anchors"]["prompts"] == [f"dog {n}" for n in range(12)]
    assert said["embedder"] == {"use": "tiny"}
    assert said["retriever"]["pool"] == "p"
    assert said["dataset"] == {
        "config": "all-dogs",
        "pretty_name": "All dogs",
        "license": "cc0-1.0",
        "tags": ["dogs", "animals"],
    }


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--prompt", "x"], "give either --anchors, a folder, or --text"),
        (["--prompt", "x", "--anchors", "dogs", "--text", "a"], "give either --anchors"),
        (["--anchors", "dogs"], "Missing option '--prompt'"),
        (["--prompt", "x", "--anchors", "cats"], "cats: no such folder"),
        (["--prompt", "x", "--anchors", "dogs", "--out", "."], "'.' is a directory"),
        (["--prompt", "x", "--anchors", "dogs", "--pool", "dogs"], "dogs: not a pool"),
    ],
)
def test_what_is_wrong_is_exit_code_2(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("init", *arguments) == 2
    assert fault in capsys.readouterr().err


def test_a_terminal_is_asked_for_what_is_missing() -> None:
    options = ["--anchors", "dogs", "--prompt", "a photo of a dog"]
    seen, code = init_at_a_terminal("Good dogs\ndogs, animals\n\n", *options)
    assert code == 0, seen
    assert seen.index("Anchors: 12 images") < seen.index("Title [Dogs]")  # these come first
    said = tomllib.loads(Path("good-dogs.toml").read_text())["dataset"]
    assert said["pretty_name"] == "Good dogs"
    assert said["tags"] == ["dogs", "animals"]
    assert said["license"] == "cc-by-4.0"  # Enter takes what is proposed


def test_a_terminal_is_not_asked_for_what_is_given() -> None:
    options = ["--anchors", "dogs", "--prompt", "a dog", "--title", "x", "--tag", "x"]
    seen, code = init_at_a_terminal("", *options, "--license", "cc0-1.0")
    assert code == 0, seen
    assert "Licence" not in seen
    seen, code = init_at_a_terminal("\x04", *options, "--force")  # Ctrl-D
    assert code == 130
    assert "Traceback" not in seen
