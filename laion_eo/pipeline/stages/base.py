"""What a stage of the pipeline is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.pipeline.engines.local import Engine
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.workbench import Workbench, identity
from laion_eo.types import JSON

Shard = TypeVar("Shard")


class Stage(ABC):
    """One arrow of the pipeline: reads complete tables of the run directory, makes the next one.

    Attributes:
        name: Its folder in the run directory.
        version: Raised by one when its code changes what comes out.
        needs: The stages whose tables it reads.
        resumable: Whether parts of a killed run are kept; otherwise it starts again.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    resumable: ClassVar[bool] = False

    def __init__(self, bench: Workbench, run_dir: RunDir) -> None:
        self.bench = bench
        self.run_dir = run_dir

    @abstractmethod
    def components(self) -> Sequence[Component]:
        """Return the components that it uses; their options and data enter the fingerprint."""

    def identity(self) -> JSON:
        """Return what the fingerprint is made of, but for the stages before."""
        return [self.name, self.version, *(identity(part) for part in self.components())]

    @abstractmethod
    def total(self) -> int:
        """Return how many parts there will be; 0 if that is not known."""

    @abstractmethod
    def parts(self, engine: Engine, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the parts that are not done, each with its number, in order."""

    @abstractmethod
    def counts(self, table: pa.Table) -> dict[str, int]:
        """Return what was kept and dropped, by reason.

        Args:
            table: The stage's whole table.
        """

    def facts(self) -> dict[str, JSON]:
        """Return what the manifest should know of the components, by their names.

        The second of a name, such as another threshold, is called ``name 2``.
        """
        found: dict[str, JSON] = {}
        uses: Counter[str] = Counter()
        for part in self.components():
            uses[part.name] += 1
            label = part.name if uses[part.name] == 1 else f"{part.name} {uses[part.name]}"
            if facts := self.bench.ready(part).facts():
                found[label] = facts
        return found


class ShardedStage(Stage, Generic[Shard]):
    """A stage whose parts do not depend on each other: the engine may run them anywhere."""

    resumable = True

    @abstractmethod
    def shards(self) -> Sequence[Shard]:
        """Return the descriptions of the parts: small, and pickleable."""

    @abstractmethod
    def process(self, shard: Shard) -> pa.Table:
        """Make one part."""

    def total(self) -> int:
        """Return the number of shards."""
        return len(self.shards())

    def parts(self, engine: Engine, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the parts that are not done, as the engine brings them."""
        shards = self.shards()
        todo = [index for index in range(len(shards)) if index not in done]
        yield from zip(todo, engine.map(self.process, [shards[i] for i in todo]), strict=True)


def row_ranges(rows: int, size: int) -> list[tuple[int, int]]:
    """Return (start, stop) of consecutive batches; one empty batch where there are no rows."""
    return [(start, min(start + size, rows)) for start in range(0, rows, size)] or [(0, 0)]
