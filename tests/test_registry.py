from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laion_eo import registry as registry_module
from laion_eo.component import Component, Context
from laion_eo.config import Choice
from laion_eo.errors import ConfigError, PluginError
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import KINDS, Filter, Kind, Retriever, Scorer
from laion_eo.registry import Registry, check_class
from laion_eo.types import Verdict

FILTER = next(kind for kind in KINDS if kind.base is Filter)
SCORER = next(kind for kind in KINDS if kind.base is Scorer)
RETRIEVER = next(kind for kind in KINDS if kind.base is Retriever)


class Everything(Filter):
    name = "everything"
    summary = "keeps everything"

    def keep(self, batch: Any) -> Verdict:
        return Verdict(np.ones(len(batch), dtype=bool), [""] * len(batch))


def plugin(*classes: type) -> object:
    @hookimpl
    def laion_eo_filters() -> Sequence[type]:
        return classes

    return SimpleNamespace(laion_eo_filters=laion_eo_filters)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_built_in(kind: Kind) -> None:
    registry = Registry.discover()
    assert not registry.broken
    assert list(registry.of_kind(kind))


def test_a_plugins_component_is_found_by_name() -> None:
    registry = Registry.discover([plugin(Everything)])
    assert registry.find(FILTER, "everything").cls is Everything
    component = registry.create(FILTER, Choice(use="everything"), Context())
    assert isinstance(component, Everything)


def test_a_near_miss_is_answered_with_a_suggestion() -> None:
    with pytest.raises(PluginError, match=r"No|no retriever named 'exact-scam'") as caught:
        Registry.discover().find(RETRIEVER, "exact-scam", "run.toml: [retriever]")
    message = str(caught.value)
    assert message.startswith("run.toml: [retriever]: ")
    assert "Did you mean 'exact-scan'?" in message
    assert "Installed: " in message


def test_unknown_options_name_the_component_and_the_key() -> None:
    choice = Choice.model_validate({"use": "min-size", "widht": 3})
    with pytest.raises(ConfigError, match=r"filter 'min-size'.*'widht'. Did you mean 'width'"):
        Registry.discover().create(FILTER, choice, Context(), "run.toml: [[filters]] 1")


def test_two_of_one_name_hurt_only_who_asks() -> None:
    class Twin(Everything):
        """The same name again."""

    registry = Registry.discover()
    registry.add(plugin(Everything), "first", "package-a 1.0")
    registry.add(plugin(Twin), "second", "package-b 2.0")
    registry._collect()
    with pytest.raises(PluginError, match=r"package-[ab].*package-[ab]"):
        registry.find(FILTER, "everything")
    registry = Registry.discover([plugin(Everything), plugin(Twin)])
    assert registry.find(RETRIEVER, "exact-scan")


def incomplete_name() -> type:
    class Nameless(Everything):
        name = "Not Kebab"

    return Nameless


def abstract() -> type:
    class Abstract(Filter):
        name = "abstract"
        summary = "lacks keep"

    return Abstract


def odd_options() -> type:
    class Odd(Everything):
        Config = dict  # type: ignore[assignment]

    return Odd


def test_a_scorers_columns_are_a_schema_or_made_of_its_options() -> None:
    def scorer(columns: object) -> type:
        made = {"name": "a-scorer", "summary": "for this test", "score": print, "columns": columns}
        return type("AScorer", (Scorer,), made)

    for good in (pa.schema([("a", pa.int8())]), property(str), cached_property(str)):
        check_class(scorer(good), SCORER)
    with pytest.raises(TypeError, match=r"AScorer.columns is not a pyarrow schema, nor a property"):
        check_class(scorer(["a"]), SCORER)


@pytest.mark.parametrize(
    ("component", "reason"),
    [
        (odd_options(), "Odd.Config is not a subclass of ComponentConfig"),
        (incomplete_name(), "not kebab-case"),
        (abstract(), "lacks keep"),
        (int, "not a subclass of Filter"),
    ],
)
def test_a_broken_component_is_reported_and_the_rest_lives(component: type, reason: str) -> None:
    registry = Registry.discover([plugin(component)])
    assert reason in str(registry.broken[0])
    assert registry.find(FILTER, "min-size")
    with pytest.raises(PluginError, match=reason):
        registry.find(FILTER, "abstract")


def test_a_misspelt_hook_is_reported() -> None:
    @hookimpl
    def laion_eo_filtres() -> Sequence[type]:
        return []

    registry = Registry.discover([SimpleNamespace(laion_eo_filtres=laion_eo_filtres)])
    assert "laion_eo_filtres" in str(registry.broken[0])


def test_a_hook_that_raises_is_reported() -> None:
    @hookimpl
    def laion_eo_filters() -> Sequence[type]:
        raise RuntimeError("no luck")

    registry = Registry.discover([SimpleNamespace(laion_eo_filters=laion_eo_filters)])
    assert "RuntimeError: no luck" in str(registry.broken[0])
    assert registry.find(FILTER, "min-size")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
    ],
)
def test_a_plugin_that_fails_at_import_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, reason: str
) -> None:
    (tmp_path / "falls_over.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("falls-over", "falls_over", "laion_eo")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    registry = Registry.discover()
    (broken,) = registry.broken
    assert "falls-over" in str(broken)
    assert reason in str(broken)
    assert registry.find(FILTER, "min-size")
    with pytest.raises(PluginError, match="Not loaded: plugin 'falls-over'"):
        registry.find(FILTER, "of-that-plugin")


def test_plugins_of_one_entry_point_name_both_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"plugin_{name}.py").write_text(f"NAME = '{name}'")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("same", f"plugin_{name}", "laion_eo") for name in ("one", "two")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    registry = Registry.discover()
    assert not registry.broken
    assert len(registry.distributions) == 3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_component_says_what_it_is(kind: Kind) -> None:
    for entry in Registry.discover().of_kind(kind):
        cls: type[Component] = entry.cls
        assert cls.summary
        assert len(cls.summary) <= 72
        documented = "\n".join(base.__doc__ or "" for base in cls.Config.__mro__)
        for field in cls.Config.model_fields:
            inherited = field in kind.base.Config.model_fields
            assert inherited or f"{field}:" in documented, f"{cls.name}: {field} is not documented"
