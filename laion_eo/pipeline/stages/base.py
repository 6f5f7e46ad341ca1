"""What a step of the pipeline is: a stage, of one of three shapes, or the publishing at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, TypeAlias

import pyarrow as pa
from pydantic import JsonValue

from laion_eo.component import Component
from laion_eo.kinds.contract import check_facts, fail
from laion_eo.pipeline.manifest import to_json
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.workbench import Workbench, identity

Rows: TypeAlias = tuple[int, int]
"""The rows ``start`` to ``stop`` of a table."""


class Step(ABC):
    """Reads complete tables of the run directory, and leaves an output with a record.

    Attributes:
        name: Its folder in the run directory.
        version: Raised by one when its code changes what comes out.
        needs: The stages whose tables it reads.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, workbench: Workbench, run_dir: RunDir) -> None:
        self.workbench = workbench
        self.run_dir = run_dir

    @abstractmethod
    def components(self) -> Sequence[Component]:
        """Return the components that it uses; their options and data enter the fingerprint."""

    def identity(self) -> JsonValue:
        """Return what the fingerprint is made of, but for the stages before."""
        return [self.name, self.version, *(identity(part) for part in self.components())]

    def check(self) -> None:
        """Raise for what is known, before any work, to be missing.

        Raises:
            ConfigError: A package, a model or a file of one of the components.
            DataError: Likewise, of data.
        """
        for part in self.components():
            self.workbench.check(part)

    def intact(self, work: Work, done: set[int]) -> set[int]:  # noqa: ARG002
        """Return those of the finished parts whose rows speak of nothing that is gone or damaged.

        Args:
            work: What the parts are of.
            done: Their numbers; the parts themselves are sound.
        """
        return done

    def facts(self) -> dict[str, dict[str, JsonValue]]:
        """Return what the manifest should know of the components, by their names.

        The second of a name, such as another threshold, is called ``name 2``.
        """
        found: dict[str, dict[str, JsonValue]] = {}
        uses: Counter[str] = Counter()
        for part in self.components():
            uses[part.name] += 1
            label = part.name if uses[part.name] == 1 else f"{part.name} {uses[part.name]}"
            if facts := check_facts(part, self.workbench.ready(part).facts()):
                try:
                    found[label] = to_json(facts)
                except ValueError as error:
                    raise fail(part, f"facts that are no JSON: {error}") from error
        return found


class Stage(Step):
    """A step that makes a table; it derives from one of the three shapes below."""

    @abstractmethod
    def counts(self, table: pa.Table) -> dict[str, int]:
        """Return what was kept and dropped, by reason.

        Args:
            table: The stage's table, all parts of it.
        """


class TableStage(Stage):
    """A stage whose table is made at once; a killed run makes it again."""

    @abstractmethod
    def make(self) -> pa.Table:
        """Return the table."""


class ShardedStage(Stage):
    """A stage whose parts do not depend on each other: the engine may make them anywhere."""

    @abstractmethod
    def shards(self) -> Sequence[Rows]:
        """Return the rows that each part is made from."""

    @abstractmethod
    def process(self, shard: Rows) -> pa.Table:
        """Make one part."""


class StreamStage(Stage):
    """A stage whose parts come in an order of their own, in one process."""

    @abstractmethod
    def total(self) -> int:
        """Return how many parts there will be; 0 if that is not known."""

    @abstractmethod
    def parts(self, done: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the parts that are not done, each with its number."""


ShapedStage: TypeAlias = TableStage | ShardedStage | StreamStage


def row_ranges(rows: int, size: int) -> list[Rows]:
    """Return (start, stop) of consecutive batches; one empty batch where there are no rows."""
    return [(start, min(start + size, rows)) for start in range(0, rows, size)] or [(0, 0)]
