"""The workbench: a run's components, built when first needed and shared by its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from pydantic import JsonValue

from laion_eo.component import Component, Context
from laion_eo.config import Choice, RunConfig, RunFile
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import KINDS, Embedder, Filter, Kind, Scorer
from laion_eo.kinds.contract import check_identity
from laion_eo.pipeline.engines import Engine, make_engine
from laion_eo.pipeline.environment import software
from laion_eo.pipeline.manifest import Manifest, Provider, Session, StageRecord, to_json
from laion_eo.registry import Registry
from laion_eo.types import JSON

C = TypeVar("C", bound=Component)
LABELS = "labels"
"""The filter that ``--labels`` chooses."""


class Workbench:
    """The components that a run file chose, and the engine.

    Args:
        run_file: The run file.
        registry: Where components are found.
        context: What the components are told.

    Raises:
        ConfigError: Any component of the run file is unknown or has wrong options.
    """

    def __init__(self, run_file: RunFile, registry: Registry, context: Context) -> None:
        self.run_file = run_file
        self.config = config = run_file.config
        self.registry = registry
        self.context = context
        self._components: dict[str, list[Component]] = {}
        self._checked: set[int] = set()
        self._ready: set[int] = set()
        self._own_embedders: dict[int, Embedder] = {}
        for kind in KINDS:
            value = getattr(config, kind.table)
            many = isinstance(value, tuple)
            self._components[kind.name] = [
                registry.create(
                    kind, choice, context, _place(run_file.name, kind, i, many), run_file.base
                )
                for i, choice in enumerate(value if many else (value,))
            ]
        for i, scorer in enumerate(self.all(Scorer), 1):
            choice = getattr(scorer.config, "embedder", None)
            if isinstance(choice, Choice):
                where = f"{run_file.name}: [[scorers]] {i}: embedder"
                self._own_embedders[id(scorer)] = self._embedder(choice, where)

    def _embedder(self, choice: Choice, where: str) -> Embedder:
        """Return a scorer's own embedder: one for all that name the same, and the run's own too."""
        kind = next(kind for kind in KINDS if kind.base is Embedder)
        made = self.registry.create(kind, choice, self.context, where, self.run_file.base)
        embedder = cast("Embedder", made)
        return next((one for one in self.embedders() if key_of(one) == key_of(embedder)), embedder)

    def embedders(self) -> list[Embedder]:
        """Return the models that judge the images: the run's, then those of scorers."""
        found = [self.one(Embedder)]
        for embedder in self._own_embedders.values():
            if embedder not in found:
                found.append(embedder)
        return found

    def embedder_of(self, scorer: Scorer) -> Embedder:
        """Return the model whose embeddings a scorer judges, not yet set up."""
        return self._own_embedders.get(id(scorer), self.one(Embedder))

    def __reduce__(self) -> tuple[object, ...]:
        """Travel as the run file: models are loaded where they are used."""
        place = (self.context.work_dir, self.context.seed)
        return _rebuild, (self.run_file, self.registry.plugins, *place)

    @cached_property
    def engine(self) -> Engine:
        """The engine, one for all stages: what it starts, it starts once."""
        return make_engine(self.config.engine)

    def all(self, base: type[C]) -> list[C]:
        """Return the components of a kind, not yet set up: one, or as many as the run lists."""
        kind = next(kind for kind in KINDS if kind.base is base)
        return cast("list[C]", self._components[kind.name])

    def one(self, base: type[C]) -> C:
        """Return the run's component of a kind, not yet set up."""
        return self.all(base)[0]

    def check(self, component: Component) -> None:
        """Let the component raise for what it is missing, once however many steps use it."""
        if id(component) not in self._checked:
            component.check()
            self._checked.add(id(component))

    def ready(self, component: C) -> C:
        """Return the component, set up."""
        if id(component) not in self._ready:
            component.setup()
            self._ready.add(id(component))
        return component

    def close(self) -> None:
        """Close the engine, and every component that was set up."""
        if "engine" in vars(self):
            self.engine.close()
            del self.engine
        components = [one for several in self._components.values() for one in several]
        for component in [*components, *self.embedders()[1:]]:
            if id(component) in self._ready:
                component.close()
        self._ready.clear()

    def resolved(self) -> RunConfig:
        """Return the run file with every default written out; secrets stay references."""
        chosen: dict[str, Choice | tuple[Choice, ...]] = {}
        for kind in KINDS:
            choices = tuple(
                Choice.model_validate(
                    {"use": component.name, **component.config.model_dump(mode="json")}
                )
                for component in self._components[kind.name]
            )
            chosen[kind.table] = choices if kind.many else choices[0]
        return self.config.model_copy(update=chosen)

    def manifest(
        self, stages: Mapping[str, StageRecord], history: tuple[Session, ...] = ()
    ) -> Manifest:
        """Return the manifest of the run as far as it has come.

        Args:
            stages: The records of the complete steps, in order.
            history: What every session did.
        """
        here = software()
        return Manifest(
            laion_eo=here.laion_eo,
            python=here.python,
            packages=here.packages,
            run=to_json(self.run_file.data, nan="constants"),
            resolved=self.resolved(),
            seed=self.config.seed,
            components=self.providers(),
            broken_plugins=[str(broken) for broken in self.registry.broken],
            stages=dict(stages),
            history=history,
        )

    def providers(
        self, components: Iterable[Component] | None = None
    ) -> dict[str, dict[str, Provider]]:
        """Return who provides the run's components, or only some of them, by kind and name."""
        only = None if components is None else [id(component) for component in components]
        owners = {(entry.kind.name, entry.cls.name): entry for entry in self.registry.entries}
        found: dict[str, dict[str, Provider]] = {}
        for kind in KINDS:
            for component in self.all(kind.base):
                if only is not None and id(component) not in only:
                    continue
                owner = owners[kind.name, component.name]
                about = Provider(plugin=owner.plugin, distribution=owner.distribution)
                found.setdefault(kind.name, {})[component.name] = about
        return found


def _rebuild(
    run_file: RunFile, plugins: Sequence[object], work_dir: Path | None, seed: int
) -> Workbench:
    return Workbench(run_file, Registry.discover(plugins), Context(work_dir, seed))


def with_labels(run_file: RunFile, labels: Path, registry: Registry, context: Context) -> RunFile:
    """Return a run file whose fitted thresholds are replaced by what labels teach.

    Frozen thresholds and other filters stay. Without a fitted one, ``labels`` comes before the
    first filter that compares rows with each other, such as ``duplicates``. A filter ``labels``
    that is there keeps its options but for the file.

    Args:
        run_file: As it was read.
        labels: The ``labels.csv``.
        registry: Where filters are found.
        context: What they are told.

    Raises:
        ConfigError: A filter of the run file is unknown, or has wrong options.
    """
    kind = next(kind for kind in KINDS if kind.base is Filter)
    options: dict[str, JSON] = {}
    kept: list[dict[str, JSON]] = []
    place: int | None = None
    behind: int | None = None
    for number, choice in enumerate(run_file.config.filters, 1):
        where = f"{run_file.name}: [[filters]] {number}"
        if choice.use == LABELS:
            options = choice.options
            place = len(kept) if place is None else place
            continue
        made = registry.create(kind, choice, context, where, run_file.base)
        filter_ = cast("Filter", made)
        if filter_.gives_way_to_labels and not filter_.is_frozen():
            place = len(kept) if place is None else place
            continue
        if behind is None and not filter_.judges_alone:
            behind = len(kept)
        kept.append(choice.model_dump())
    if place is None:
        place = len(kept) if behind is None else behind
    path = str(labels.absolute())
    mine = Choice.model_validate({"use": LABELS, **options, "path": path}).model_dump()
    return replace(
        run_file, data={**run_file.data, "filters": [*kept[:place], mine, *kept[place:]]}
    )


def key_of(embedder: Embedder) -> str:
    """Return the fingerprint of an embedder and its options: how its vectors are called."""
    return fingerprint(identity(embedder))


def identity(component: Component) -> JsonValue:
    """Return what a step's fingerprint must know of a component."""
    data: JsonValue = component.identity()
    return {
        "use": component.name,
        "options": component.config.model_dump(mode="json"),
        "data": check_identity(component, data),
    }


def _place(where: str, kind: Kind, index: int, many: bool) -> str:
    return f"{where}: [[{kind.table}]] {index + 1}" if many else f"{where}: [{kind.table}]"
