"""What every suite has: the component's class, its options, and the tests of any component."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from laion_eo.component import Component, Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError
from laion_eo.kinds import KINDS
from laion_eo.registry import Registry, check_class
from laion_eo.types import JSON


@pytest.mark.usefixtures("blocked_network")
class ComponentTests:
    """Tests of any component; the fixture ``component`` is one that is set up.

    Attributes:
        component_cls: The class under test.
        options: Its options, as a run file's table has them, without ``use``.
    """

    component_cls: ClassVar[type[Any]]
    options: ClassVar[dict[str, JSON]] = {}

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, JSON]:  # noqa: ARG003 - for subclasses
        """Return the options; override it where they name files that must be made first.

        Args:
            folder: An empty folder for such files.
        """
        return dict(cls.options)

    @classmethod
    def build(cls, options: dict[str, JSON], context: Context) -> Any:
        """Return a new component of these options, not set up."""
        config = validate(cls.component_cls.Config, options, cls.component_cls.name)
        component = cls.component_cls(config, context)
        component.provider = "the class under test"
        return component

    def test_the_class_is_complete(self) -> None:
        """The class has a kebab-case name, a summary, a Config, and no abstract method left."""
        kind = next(kind for kind in KINDS if issubclass(self.component_cls, kind.base))
        check_class(self.component_cls, kind)

    def test_the_summary_is_one_line(self) -> None:
        """The summary fits a line of ``laion-eo plugins``: at most 72 characters."""
        summary = self.component_cls.summary
        assert 0 < len(summary) <= 72
        assert "\n" not in summary

    def test_every_option_is_documented(self) -> None:
        """The docstring of Config names each option; ``laion-eo plugins NAME`` shows it."""
        bases = [base for base in self.component_cls.__mro__[1:] if issubclass(base, Component)]
        inherited = {key for base in bases for key in base.Config.model_fields}
        documented = "\n".join(cls.__doc__ or "" for cls in self.component_cls.Config.__mro__)
        for option in self.component_cls.Config.model_fields.keys() - inherited:
            assert f"{option}:" in documented

    def test_an_unknown_option_is_refused(self, tmp_path: Path) -> None:
        """An option that the component does not have is a ConfigError."""
        wrong = self.make_options(tmp_path) | {"no_such_option": 1}
        with pytest.raises(ConfigError, match="no_such_option"):
            self.build(wrong, Context())

    def test_options_cannot_change(self, component: Component) -> None:
        """The options are frozen: a run's fingerprint depends on them."""
        assert component.config.model_config.get("frozen")

    def test_options_survive_the_run_file(self, component: Component) -> None:
        """The options, written into a run directory's run.toml, give the same options again."""
        written = json.loads(component.config.model_dump_json())
        assert type(component.config).model_validate(written) == component.config

    def test_building_is_cheap(self, tmp_path: Path) -> None:
        """A component that was never set up can be asked for its identity, and built twice."""
        options = self.make_options(tmp_path)
        first, second = (self.build(options, Context(work_dir=tmp_path)) for _ in range(2))
        identity = first.identity()
        assert json.loads(json.dumps(identity)) == json.loads(json.dumps(second.identity()))

    def test_nothing_is_missing(self, tmp_path: Path) -> None:
        """``check`` is quiet where everything is there, before ``setup`` and in any order."""
        for _ in range(2):
            self.build(self.make_options(tmp_path), Context(work_dir=tmp_path)).check()

    def test_the_registry_takes_it(self, tmp_path: Path) -> None:
        """A run file can choose the component by its name."""
        kind = next(kind for kind in KINDS if issubclass(self.component_cls, kind.base))
        registry = Registry.discover()
        named = self.component_cls.name
        if all(entry.cls is not self.component_cls for entry in registry.of_kind(kind)):
            registry.add_component(kind, self.component_cls)
        table = {"use": named, **self.make_options(tmp_path)}
        assert type(registry.build(kind.base, table, "the suite")) is self.component_cls

    def test_facts_can_be_written(self, component: Component) -> None:
        """What the manifest records is JSON."""
        facts = self.facts_of(component)
        assert json.loads(json.dumps(facts, default=str)).keys() == facts.keys()

    def facts_of(self, component: Component) -> dict[str, JSON]:
        """Return the component's facts; a kind whose facts need work done does it first."""
        return component.facts()
