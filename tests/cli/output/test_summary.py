from __future__ import annotations

import io
from typing import Any

import pytest

from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.cli.output.console import output_console
from laion_eo.cli.output.summary import as_text, print_run, yield_line
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Filter
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON


class Talkative(MinSize):
    """A third-party filter whose facts have shapes of their own."""

    name = "talkative"

    def facts(self) -> dict[str, JSON]:
        return {
            "curve": {"low": 0.25, "high": {"mean": [1, None]}},
            "bright": {"threshold": 0.5},
            "odd": {"threshold": "half", "how": "[/said]"},
            "short": {"threshold": 0.5, "how": "fitted", "sigma": 1},
        }


@hookimpl
def laion_eo_filters() -> list[type[Filter]]:
    return [Talkative]


def test_facts_of_any_shape_end_no_finished_run(run_data: dict[str, JSON], tmp_path: Any) -> None:
    plugin = type("Plugin", (), {"laion_eo_filters": staticmethod(laion_eo_filters)})()
    run_data["filters"].append({"use": "talkative"})
    run_data["filters"].append({"use": "column", "column": "lang", "one_of": ["en", "de"]})
    result = run(run_data, tmp_path / "run", registry=Registry.discover([colours, plugin]))
    out = io.StringIO()
    console = output_console()
    console.file, console.width = out, 300
    print_run(result, console)
    lines = out.getvalue().splitlines()
    assert "talkative: curve low 0.25, high mean 1, none" in lines
    assert "talkative: bright threshold 0.5" in lines
    rows = result.manifest["stages"]["verdicts"]["facts"]["column"]["rows"]
    said = f"column lang, one_of en, de, nulls drop, type string, rows {rows}, without_value 0"
    assert f"column: {said}" in lines
    assert "talkative: odd threshold half, how [/said]" in lines
    assert any(line.startswith("similarity-threshold: image_similarity thresho") for line in lines)
    assert (result.dataset / "README.md").is_file()


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (None, "none"),
        (3, "3"),
        (True, "True"),
        ("a", "a"),
        ([], ""),
        ({}, ""),
        ({"a": {"b": [1, {"c": None}]}, "d": 2}, "a b 1, c none, d 2"),
    ],
)
def test_a_fact_is_one_line(fact: JSON, text: str) -> None:
    assert as_text(fact) == text


def test_what_the_anchors_brought_is_one_line() -> None:
    facts: dict[str, JSON] = {"anchors": 149, "hubs": 5, "silent": 55}
    wanted = "5 of 149 anchors own a third of the candidates; 55 own none."
    assert yield_line(facts) == wanted
    assert yield_line(facts | {"hubs": 1}).startswith("1 of 149 anchors owns a third")
    assert yield_line({}) == yield_line({"anchors": 3, "hubs": 0, "silent": 3}) == ""
