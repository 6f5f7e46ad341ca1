"""The workbench: a run's components, built when first needed and shared by its stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from laion_eo.component import Component, Context
from laion_eo.config import RunFile
from laion_eo.errors import ConfigError
from laion_eo.kinds import KINDS, Downloader, Kind, Retriever, Scorer
from laion_eo.registry import Registry
from laion_eo.schema import CANDIDATES, DOWNLOADS, LANGUAGES, SCORES_FIXED, VERDICTS
from laion_eo.types import JSON

C = TypeVar("C", bound=Component)


class Workbench:
    """The components that a run file chose.

    Args:
        run_file: The run file.
        registry: Where components are found.
        context: What the components are told.

    Raises:
        ConfigError: Any component of the run file is unknown or has wrong options. All are
            checked here, before any work begins.
    """

    def __init__(self, run_file: RunFile, registry: Registry, context: Context) -> None:
        self.run_file = run_file
        self.config = config = run_file.config
        self.registry = registry
        self.context = context
        self._components: dict[str, list[Component]] = {}
        self._ready: set[int] = set()
        for kind in KINDS:
            value = getattr(config, kind.table)
            many = isinstance(value, tuple)
            self._components[kind.name] = [
                registry.create(
                    kind, choice, context, _place(run_file.name, kind, i, many), run_file.base
                )
                for i, choice in enumerate(value if many else (value,))
            ]
        _check_columns(run_file.name, self.all(Scorer))

    def __reduce__(self) -> tuple[JSON, ...]:
        """Travel as the run file: models are loaded where they are used."""
        place = (self.context.work_dir, self.context.seed)
        return _rebuild, (self.run_file, self.registry.plugins, *place)

    def all(self, base: type[C]) -> list[C]:
        """Return the components of a kind, not yet set up: one, or as many as the run lists."""
        kind = next(kind for kind in KINDS if kind.base is base)
        return cast("list[C]", self._components[kind.name])

    def one(self, base: type[C]) -> C:
        """Return the run's component of a kind, not yet set up."""
        return self.all(base)[0]

    def ready(self, component: C) -> C:
        """Return the component, set up."""
        if id(component) not in self._ready:
            component.setup()
            self._ready.add(id(component))
        return component

    def close(self) -> None:
        """Close every component that was set up."""
        for components in self._components.values():
            for component in components:
                if id(component) in self._ready:
                    component.close()
        self._ready.clear()

    def resolved(self) -> dict[str, JSON]:
        """Return the run file with every default written out; secrets stay references."""
        data = self.config.model_dump(mode="json")
        for kind in KINDS:
            tables = [
                {"use": component.name, **component.config.model_dump(mode="json")}
                for component in self._components[kind.name]
            ]
            data[kind.table] = tables if isinstance(data[kind.table], list | tuple) else tables[0]
        return data


def _rebuild(
    run_file: RunFile, plugins: Sequence[object], work_dir: Path | None, seed: int
) -> Workbench:
    return Workbench(run_file, Registry.discover(plugins), Context(work_dir, seed))


def identity(component: Component) -> JSON:
    """Return what a stage's fingerprint must know of a component."""
    return {
        "use": component.name,
        "options": component.config.model_dump(mode="json"),
        "data": component.identity(),
    }


def _check_columns(where: str, scorers: Sequence[Scorer]) -> None:
    """Raise ConfigError where a scorer's column is another's, or one that every run has."""
    known = (CANDIDATES, DOWNLOADS, SCORES_FIXED, LANGUAGES, VERDICTS)
    owners = {name: "every run" for schema in known for name in schema.names}
    for scorer in scorers:
        for name in scorer.columns.names:
            if name in owners:
                raise ConfigError(
                    f"{where}: [[scorers]] {scorer.name!r} ({scorer.provider}) makes the column "
                    f"{name!r}, which {owners[name]} has already."
                )
            owners[name] = repr(scorer.name)


def check_allow_list(bench: Workbench) -> None:
    """Refuse a pool from before Re-LAION without an allow-list or a stated reason.

    Raises:
        ConfigError: Neither is there.
    """
    retriever = bench.one(Retriever)
    listed = getattr(bench.one(Downloader).config, "allow_list", None)
    because = retriever.config.no_allow_list_because.strip()
    if retriever.before_re_laion() and not listed and not because:
        raise ConfigError(
            f"{bench.run_file.name}: [retriever]: the pool is marked as made before Re-LAION, so "
            "it may link to what must not be had. Give [downloader] allow_list = a Parquet table "
            "of what may (column url, md5 or sha256; Re-LAION's rows, say), or say why not: "
            '[retriever] no_allow_list_because = "...", which is recorded.'
        )


def _place(where: str, kind: Kind, index: int, many: bool) -> str:
    return f"{where}: [[{kind.table}]] {index + 1}" if many else f"{where}: [{kind.table}]"
