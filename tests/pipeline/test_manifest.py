from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from laion_eo.errors import DataError, RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.manifest import Manifest, to_json
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "manifest.schema.json"


@pytest.fixture
def written(finished_run: RunResult) -> dict[str, JSON]:
    """What a finished run wrote."""
    data: dict[str, JSON] = json.loads((finished_run.folder / "manifest.json").read_text("utf-8"))
    return data


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


def test_a_finished_run_fits_the_schema(
    written: dict[str, JSON], schema: Draft202012Validator
) -> None:
    schema.check_schema(schema.schema)
    schema.validate(written)
    assert written["version"] == 1


@pytest.mark.parametrize(
    "path",
    [("seed",), ("stages", "scores", "parts"), ("stages", "scores", "counts"), ("components",)],
)
def test_the_schema_refuses_what_is_none(
    path: tuple[str, ...], written: dict[str, JSON], schema: Draft202012Validator
) -> None:
    data = deepcopy(written)
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = "many"
    assert not schema.is_valid(data)
    del node[path[-1]]
    assert schema.is_valid(data) is (path[-1] == "counts")  # it alone has a default


def test_what_was_written_is_read_back(finished_run: RunResult, written: dict[str, JSON]) -> None:
    manifest = Manifest.load(finished_run.folder)
    assert (
        manifest.stages["dataset"].counts["rows"] == written["stages"]["dataset"]["counts"]["rows"]
    )
    assert manifest.components["retriever"]["exact-scan"].plugin == "builtin"
    assert manifest.resolved.retriever.options["k"] == 35
    assert manifest.dump() == written == finished_run.manifest


def test_a_manifest_from_before_versions_is_of_the_first(
    written: dict[str, JSON], tmp_path: Path
) -> None:
    del written["version"]
    file = tmp_path / "old.json"
    file.write_text(json.dumps(written | {"ticket": {"number": [17]}}))
    manifest = Manifest.load(file)
    assert manifest.version == 1
    assert manifest.dump()["ticket"] == {"number": [17]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not a run's manifest: "),
        ("[]", "not a run's manifest: "),
        ('{"laion_eo": "0.1.0"}', "not a run's manifest: python: Field required"),
        ('{"version": 2, "later": true}', "of format 2, and this laion-eo reads 1: upgrade"),
        (None, "there is no such manifest"),
    ],
)
def test_another_file_is_refused_in_one_line(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=reason) as caught:
        Manifest.load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'manifest.json'}: ")
    assert "\n" not in str(caught.value)


def test_what_json_does_not_know_becomes_what_it_does() -> None:
    said: JSON = {
        "half": np.float32(0.5),
        "rows": np.int64(3),
        "none": float("nan"),
        "path": Path("/a/b"),
        "when": datetime(2026, 1, 2),
        "pair": (1, 2),
        7: {"deep": {np.float64("-inf")}},
    }
    plain = to_json(said)
    assert plain == {
        "half": 0.5,
        "rows": 3,
        "none": None,
        "path": "/a/b",
        "when": "2026-01-02T00:00:00",
        "pair": [1, 2],
        "7": {"deep": [None]},
    }
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_a_plugin_adds_keys_and_changes_none(run_data: dict[str, JSON], tmp_path: Path) -> None:
    class Lab:
        @hookimpl
        def laion_eo_after_run(self, manifest: dict[str, JSON]) -> None:
            manifest["seed"] = "mine"
            manifest["lab"] = {"share": np.float32(0.5), "path": Path("/a")}

    for name in ("retriever.k=3", "retriever.k=3"):  # the second time nothing is to do
        result = run(run_data, tmp_path / "run", [name], Registry.discover([colours, Lab()]))
        manifest = Manifest.load(result.folder)
        assert manifest.seed == 0
        assert manifest.dump()["lab"] == {"share": 0.5, "path": "/a"}
        assert result.manifest == manifest.dump()


def test_what_a_plugin_adds_must_be_json(run_data: dict[str, JSON], tmp_path: Path) -> None:
    class Lab:
        @hookimpl
        def laion_eo_after_run(self, manifest: dict[str, JSON]) -> None:
            manifest["lab"] = {"all": manifest}

    with pytest.raises(
        RunError, match=r"the keys that plugins added \(lab\) are no JSON: Circular"
    ):
        run(run_data, tmp_path / "run", ["retriever.k=3"], Registry.discover([colours, Lab()]))
