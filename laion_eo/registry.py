"""Finds components: which there are, which one a run file means, what is wrong with the rest."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar, cast

import click
import pluggy
import pyarrow as pa

from laion_eo import builtin, hookspecs
from laion_eo.component import Component, ComponentConfig, Context
from laion_eo.config import Choice, validate
from laion_eo.errors import LaionEOError, PluginError, did_you_mean
from laion_eo.hookspecs import PROJECT
from laion_eo.kinds import KINDS, Kind, Scorer
from laion_eo.redaction import hide_causes
from laion_eo.texts import one_line
from laion_eo.types import JSON

BUILTIN = "builtin"
C = TypeVar("C", bound=Component)
_KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One component that can be chosen.

    Attributes:
        kind: Its kind.
        cls: Its class.
        plugin: Name of the plugin that registered it.
        distribution: The installed package behind the plugin, with its version.
    """

    kind: Kind
    cls: type[Component]
    plugin: str
    distribution: str

    @property
    def provider(self) -> str:
        """Plugin and distribution, for messages."""
        return f"plugin {self.plugin!r} of {self.distribution}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin, or a component of one, that cannot be used, and why."""

    plugin: str
    distribution: str
    error: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution}: {self.error}"


@dataclass
class Registry:
    """The components of the installed plugins.

    Attributes:
        manager: pluggy's manager, for the lifecycle hooks.
        entries: Every usable component.
        broken: What could not be used.
        plugins: What was passed to :meth:`discover`.
    """

    manager: pluggy.PluginManager
    plugins: Sequence[ModuleType | object] = ()
    entries: list[Entry] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    distributions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def discover(cls, plugins: Sequence[ModuleType | object] = ()) -> Registry:
        """Load the built-ins and every plugin of the entry-point group ``laion_eo``.

        Args:
            plugins: Further plugin objects, for tests and notebooks.
        """
        registry = cls.load(plugins)
        registry._collect()
        return registry

    @classmethod
    def load(cls, plugins: Sequence[ModuleType | object] = ()) -> Registry:
        """Load the same plugins, for their hooks alone: no component is asked for."""
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        registry = cls(manager, tuple(plugins))
        for point in _points():
            registry._load(point)
        for plugin in plugins:
            registry.add(plugin)
        return registry

    def add(
        self, plugin: object, name: str | None = None, distribution: str = "this program"
    ) -> None:
        """Register one plugin object; a plugin that names unknown hooks is noted as broken."""
        try:
            registered = self.manager.register(plugin, name)
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            registered = self.manager.get_name(plugin) or str(name)
            self.manager.unregister(name=registered)
            self.broken.append(Broken(registered, distribution, _one_line(error)))
        if registered is not None:
            self.distributions[registered] = distribution

    def _load(self, point: EntryPoint) -> None:
        distribution = _distribution(point)
        taken = self.manager.has_plugin(point.name)
        name = f"{point.name} ({distribution})" if taken else point.name
        try:
            self.add(point.load(), name, distribution)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party code
            self.broken.append(Broken(point.name, distribution, _one_line(error)))

    def _collect(self) -> None:
        for kind in KINDS:
            for implementation in getattr(self.manager.hook, kind.hook).get_hookimpls():
                plugin = implementation.plugin_name
                distribution = self.distributions[plugin]
                try:
                    for component in implementation.function():
                        check_class(component, kind)
                        self.entries.append(Entry(kind, component, plugin, distribution))
                except Exception as error:  # noqa: BLE001 - third-party hooks may raise anything
                    fault = f"{kind.hook}: {_one_line(error)}"
                    self.broken.append(Broken(plugin, distribution, fault))

    def add_component(
        self, kind: Kind, cls: type[Component], distribution: str = "this program"
    ) -> None:
        """Make one class available without a plugin: for tests and notebooks.

        Raises:
            TypeError: The class is not a complete component of the kind.
        """
        check_class(cls, kind)
        self.entries.append(Entry(kind, cls, cls.__module__, distribution))

    def add_commands(self, cli: click.Group) -> list[Broken]:
        """Let each plugin add its commands.

        Args:
            cli: The command group.

        Returns:
            The plugins that failed to; the commands of the others are there.
        """
        broken = []
        for implementation in self.manager.hook.laion_eo_add_commands.get_hookimpls():
            try:
                implementation.function(*(cli for _ in implementation.argnames))
            except Exception as error:  # noqa: BLE001 - third-party hooks may raise anything
                plugin = implementation.plugin_name
                fault = f"laion_eo_add_commands: {_one_line(error)}"
                broken.append(Broken(plugin, self.distributions[plugin], fault))
        return broken

    def of_kind(self, kind: Kind) -> Iterator[Entry]:
        """Yield the components of one kind, built-ins first."""
        return (entry for entry in self.entries if entry.kind is kind)

    def find(self, kind: Kind, name: str, where: str = "") -> Entry:
        """Return the component of that kind and name.

        Args:
            kind: The kind.
            name: What a run file's ``use`` says.
            where: File and table, for the message.

        Raises:
            PluginError: There is none, or there are several.
        """
        prefix = f"{where}: " if where else ""
        found = [entry for entry in self.of_kind(kind) if entry.cls.name == name]
        if len(found) > 1:
            owners = " and ".join(entry.provider for entry in found)
            raise PluginError(
                f"{prefix}the {kind.name} {name!r} is registered by {owners}; uninstall one."
            )
        if found:
            return found[0]
        names = sorted(entry.cls.name for entry in self.of_kind(kind))
        message = f"{prefix}no {kind.name} named {name!r}.{did_you_mean(name, names)}"
        message += f" Installed: {', '.join(names) or 'none'}."
        if self.broken:
            message += f" Not loaded: {'; '.join(map(str, self.broken))}."
        raise PluginError(message)

    def create(
        self,
        kind: Kind,
        choice: Choice,
        context: Context,
        where: str = "",
        base: Path | None = None,
    ) -> Component:
        """Build the component that a run file chose; nothing heavy is loaded yet.

        Raises:
            PluginError: There is no such component, or its own code fails on being built.
            ConfigError: Its options are wrong, or a secret that they refer to is not there.
        """
        entry = self.find(kind, choice.use, where)
        place = f"{where or kind.table} ({kind.name} {choice.use!r})"
        try:
            config = entry.cls.Config.read(choice.options, place, base)
            component = entry.cls(config, context)
        except LaionEOError as error:
            hide_causes(error)
            raise
        except Exception as error:  # noqa: BLE001 - third-party code
            broken = PluginError(f"{place}: {entry.provider} cannot build it: {_one_line(error)}.")
            broken.__cause__ = error
            hide_causes(broken)
            raise broken from broken.__cause__
        component.provider = entry.provider
        return component

    def build(
        self, base: type[C], table: Mapping[str, JSON], where: str, context: Context | None = None
    ) -> C:
        """Build a component outside a run, from what a run file's table would say.

        Args:
            base: The kind's class.
            table: ``use`` and the options.
            where: What needs it, for messages: the command, say.
            context: What it is told; nothing by default.

        Raises:
            PluginError: As :meth:`create`.
            ConfigError: Likewise.
        """
        kind = next(kind for kind in KINDS if kind.base is base)
        component = self.create(kind, validate(Choice, table, where), context or Context(), where)
        return cast("C", component)

    def owner_of(self, code: CodeType) -> str | None:
        """Return the plugin and distribution of a hook's implementation, or ``None``.

        Args:
            code: The code object of a frame.
        """
        for plugin, distribution in self.distributions.items():
            for caller in self.manager.get_hookcallers(self.manager.get_plugin(plugin)) or ():
                for implementation in caller.get_hookimpls():
                    if getattr(implementation.function, "__code__", None) is code:
                        return f"plugin {plugin!r} of {distribution}"
        return None


def _points() -> list[EntryPoint]:
    """Return the entry points, the built-ins first, installed or not."""
    points = sorted(entry_points(group=PROJECT), key=lambda point: point.name)
    own = EntryPoint(BUILTIN, builtin.__name__, PROJECT)
    others = [point for point in points if point.value != own.value]
    return [own, *others]


def _distribution(point: EntryPoint) -> str:
    if point.dist is not None:
        return f"{point.dist.name} {point.dist.version}"
    return "laion-eo" if point.name == BUILTIN else "an unknown distribution"


def check_class(component: object, kind: Kind) -> None:
    """Raise TypeError unless the object is a complete component of the kind."""
    if not (isinstance(component, type) and issubclass(component, kind.base)):
        raise TypeError(f"{component!r} is not a subclass of {kind.base.__name__}")
    label = component.__name__
    for attribute in ("name", "summary"):
        if not isinstance(getattr(component, attribute, None), str):
            raise TypeError(f"{label} has no {attribute!r}")
    if not _KEBAB.fullmatch(component.name):
        raise TypeError(f"{label}: the name {component.name!r} is not kebab-case")
    if not issubclass(component.Config, ComponentConfig):
        raise TypeError(f"{label}.Config is not a subclass of ComponentConfig")
    if issubclass(component, Scorer) and not isinstance(
        component.columns, pa.Schema | property | cached_property
    ):
        raise TypeError(f"{label}.columns is not a pyarrow schema, nor a property that gives one")
    if inspect.isabstract(component):
        missing = ", ".join(sorted(component.__abstractmethods__))
        raise TypeError(f"{label} lacks {missing}")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
