from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.config import Model as BaseModel
from laion_eo.config import RunConfig, RunFile, RunPath, Secret, validate
from laion_eo.errors import ConfigError
from laion_eo.types import JSON

MINIMAL: dict[str, JSON] = {
    "anchors": {"use": "images", "root": "a"},
    "retriever": {"use": "exact-scan"},
}


def test_the_papers_choices_are_the_defaults() -> None:
    config = RunFile.load(MINIMAL).config
    assert config.normalizer.use == "reflectance-gain"
    assert config.embedder.use == "open-clip"
    assert config.language_tagger.use == "xlm-roberta"
    assert [scorer.use for scorer in config.scorers] == ["image-similarity", "text-similarity"]
    assert [f.use for f in config.filters] == ["min-size", "similarity-threshold", "duplicates"]


def test_options_stay_with_their_component() -> None:
    config = RunFile.load(MINIMAL).config
    assert config.anchors.options == {"root": "a"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"anchors": {"use": "images"}}, r"'retriever' is missing"),
        (
            MINIMAL | {"retreiver": {"use": "x"}},
            r"unknown key 'retreiver'. Did you mean 'retriever'",
        ),
        (MINIMAL | {"anchors": {"root": "a"}}, r"'anchors.use' is missing"),
        (MINIMAL | {"seed": "seven"}, r"'seed': .*integer.*got 'seven'"),
        (MINIMAL | {"dataset": {"config": "../up"}}, r"'dataset.config'"),
        (MINIMAL | {"dataset": {"license": ""}}, r"'dataset.license': .*at least 1 character"),
        (MINIMAL | {"dataset": {"tags": ["two words"]}}, r"'dataset.tags.0': .*'two words'"),
        (MINIMAL | {"dataset": {"tags": "dogs"}}, r"'dataset.tags': a list was expected"),
        (MINIMAL | {"engine": {"use": "spark"}}, r"'engine.use'.*'spark'"),
        (MINIMAL | {"retriever": "faiss"}, r"'retriever': a table was expected\.$"),
        (MINIMAL | {"filters": {"use": "min-size"}}, r"'filters': a list was expected\.$"),
    ],
)
def test_faults_are_named(data: dict[str, JSON], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _ = RunFile.load(data).config
    assert "\n" not in str(caught.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        _ = RunFile.load({"seed": "x", "unknown": 1}).config
    for word in ("anchors", "retriever", "seed", "unknown"):
        assert f"'{word}'" in str(caught.value)


def test_a_run_file_is_toml(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    with pytest.raises(ConfigError, match="no such run file"):
        RunFile.load(file)
    with pytest.raises(ConfigError, match="a folder"):
        RunFile.load(tmp_path)
    file.write_text("use = = 1")
    with pytest.raises(ConfigError, match=f"{re.escape(str(file))}: not a TOML file.*line 1"):
        RunFile.load(file)
    for content in (b"\xff\xfe", b"a = " + b"9" * 5000, b"a = " + b"[" * 5000):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="not a TOML file"):
            RunFile.load(file)


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(ConfigError, match=r"'seed': .*\(got 'xxx+…\)") as caught:
        _ = RunFile.load(MINIMAL | {"seed": "x" * 5000}).config
    assert len(str(caught.value)) < 300


TABLES = [*RunConfig.model_fields, "anchor", "", "a.b", "\n", "🛰"]
OPTIONS = ["use", "config", "batch_rows", "workers", "root", "pool", "k", "", "\n", "env"]
VALUES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.dates(), st.datetimes(),
        st.text(max_size=5), st.sampled_from(["exact-scan", "local", "ray", "ver-0", "../up"]),
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(OPTIONS), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(TABLES), VALUES, max_size=6))
def test_any_mapping_is_a_run_or_is_refused_in_one_line(data: dict[str, JSON]) -> None:
    for source in (data, MINIMAL | data):
        try:
            config = RunFile.load(source).config
        except ConfigError as error:
            assert str(error).startswith("run: ")
            assert "\n" not in str(error)
            continue
        # What was taken can be written into a run directory and read again.
        written = tomllib.loads(tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)))
        again = RunFile.load(written).config
        assert repr(again) == repr(RunFile.load(again.model_dump(exclude_none=True)).config)
        assert config.seed == again.seed
        assert [f.use for f in config.filters] == [f.use for f in again.filters]


@given(st.binary(max_size=30) | st.text("[]{}=\"'#0123 \n,._eE", max_size=40).map(str.encode))
def test_any_bytes_are_toml_or_are_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "odd.toml"
    file.write_bytes(content)
    try:
        assert RunFile.load(file).data == tomllib.loads(content.decode())
    except ConfigError as error:
        assert str(error).startswith(f"{file}: not a TOML file")
        assert "\n" not in str(error)


def test_overrides_do_not_touch_the_callers_data() -> None:
    RunFile.load(MINIMAL, ["anchors.root=b"])
    assert MINIMAL["anchors"]["root"] == "a"


def test_overrides_reach_into_what_the_run_file_leaves_out() -> None:
    changes = ["filters.similarity-threshold.sigma=2", "scorers.1.prompt=a road", "embedder.x=1"]
    config = RunFile.load(MINIMAL, changes).config
    assert [(f.use, f.options) for f in config.filters] == [
        ("min-size", {}), ("similarity-threshold", {"sigma": 2}), ("duplicates", {}),
    ]  # fmt: skip
    assert config.scorers[1].options == {"prompt": "a road"}
    assert (config.embedder.use, config.embedder.options) == ("open-clip", {"x": 1})
    assert RunFile.load(MINIMAL, ["seed=1"]).data.keys() == {*MINIMAL, "seed"}


class _Options(BaseModel):
    root: RunPath = Path()
    token: Secret | None = None


def test_relative_paths_start_at_the_run_file(tmp_path: Path) -> None:
    base = tmp_path / "here"
    assert validate(_Options, {"root": "data"}, "x", base).root == base / "data"
    assert validate(_Options, {"root": "/data"}, "x", base).root == Path("/data")
    assert validate(_Options, {"root": "../data"}, "x", base).root == tmp_path / "data"
    assert validate(_Options, {"root": "~"}, "x", base).root == Path.home()


def test_a_secret_is_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    options = validate(_Options, {"token": {"env": "MY_TOKEN"}}, "x")
    assert options.token is not None
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    assert options.token.reveal() == "hunter2"
    assert "hunter2" not in f"{options!r} {options.model_dump()}"
    monkeypatch.setenv("MY_TOKEN", "")
    with pytest.raises(ConfigError, match="MY_TOKEN is not set"):
        options.token.reveal()
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(ConfigError, match="MY_TOKEN is not set"):
        options.token.reveal()


def test_a_secret_in_plain_text_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(_Options, {"token": "hunter2"}, "x")
    assert '{env = "NAME"}' in str(caught.value)
    assert "hunter2" not in str(caught.value)
