"""Runs in memory: the stages of the pipeline on vectors that are known already.

Nothing of a recipe is written again here: :class:`Trial` calls the stages ``neighbors``,
``candidates``, ``scores``, ``fitted_scores``, ``anchor_scores``, ``languages`` and ``verdicts``
themselves. Only what would fetch and embed pictures is replaced by what is known of them, and
:func:`compare` runs the whole pipeline, to show that both come to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import quality_components
from numpy.typing import NDArray
from quality_pools import Collection, Ids, Shown, sha256_of

from laion_eo.component import Context
from laion_eo.config import RunFile
from laion_eo.file_record import FileRecord
from laion_eo.images import EXTENSIONS
from laion_eo.kinds import Embedder
from laion_eo.pipeline import run
from laion_eo.pipeline.checks import check_chain
from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.anchors import Anchors
from laion_eo.pipeline.stages.base import ShardedStage, TableStage
from laion_eo.pipeline.stages.fitted import AnchorScores, FittedScores
from laion_eo.pipeline.stages.languages import Languages
from laion_eo.pipeline.stages.neighbors import Candidates, NeighborsStage
from laion_eo.pipeline.stages.scores import Scores
from laion_eo.pipeline.stages.verdicts import Verdicts
from laion_eo.pipeline.vectors.stored import to_bytes
from laion_eo.pipeline.workbench import Workbench, key_of
from laion_eo.registry import Registry
from laion_eo.schema import DOWNLOADS, EMBEDDINGS
from laion_eo.types import JSON

DTYPE = "float16"
"""Of the vectors that are kept: that of pools."""


def registry() -> Registry:
    """Return the components of laion-eo, and those of the benchmark."""
    return Registry.discover([quality_components])


class Memory(RunDir):
    """A run directory whose tables are in memory; its folder is for what components leave."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.tables: dict[str, pa.Table] = {}

    def read(self, stage: str, columns: list[str] | None = None) -> pa.Table:
        """Return the table of a stage."""
        return self.tables[stage] if columns is None else self.tables[stage].select(columns)

    def record(self, step: str) -> StageRecord | None:
        """Return a record that names one part, the table itself."""
        if step not in self.tables:
            return None
        rows = self.tables[step].num_rows
        part = FileRecord(path=step, bytes=0, sha256="0" * 64, rows=rows)
        return StageRecord(fingerprint=step, parts=1, files=(part,), seconds=0.0)

    def read_table(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        """Return that part."""
        return self.read(path.name, columns)


@dataclass(frozen=True)
class Known:
    """What a run would find out of pictures by fetching and embedding them.

    Attributes:
        downloads: One row for each picture, with the columns of the stage ``downloads``.
        vectors: As bytes, likewise.
    """

    downloads: pa.Table
    vectors: list[bytes]

    @classmethod
    def of(cls, world: Collection) -> Known:
        """Hash the files of some pictures."""
        rows = [_download(shown) for shown in world.shown]
        vectors = to_bytes(world.vectors.astype(np.float32), DTYPE)
        return cls(pa.Table.from_pylist(rows, schema=DOWNLOADS), vectors)

    def embeddings(self, model: str, places: Ids) -> pa.Table:
        """Return the table of the stage ``embeddings`` for some of them."""
        columns = {
            "model": [model] * len(places),
            "sha256": self.downloads["sha256"].take(pa.array(places)),
            "image_error": pa.nulls(len(places), pa.string()),
            "origin": ["index"] * len(places),
            "vector": [self.vectors[place] for place in places],
        }
        return pa.table(columns, schema=EMBEDDINGS)


def _download(shown: Shown) -> dict[str, str | int]:
    sha256 = sha256_of(shown.file)
    ending = shown.file.suffix.lower().lstrip(".").replace("jpg", "jpeg").upper()
    about: dict[str, str | int] = {"url": shown.file.as_uri(), "status": "ok", "reason": ""}
    name = f"{sha256}{EXTENSIONS[ending]}"
    size = {"width": shown.width, "height": shown.height, "bytes": shown.file.stat().st_size}
    return {**about, **size, "sha256": sha256, "filename": name, "format": ending}


def embed_anchors(run_file: RunFile, folder: Path) -> pa.Table:
    """Return the table of the stage ``anchors``, without those that could not be read."""
    workbench = Workbench(run_file, registry(), Context())
    stage = Anchors(workbench, RunDir(folder))
    table = pa.concat_tables([part for _, part in stage.parts(())])
    return table.filter(table["skipped"].is_null())


def choose_anchors(anchors: pa.Table, count: int | None, seed: int) -> pa.Table:
    """Return some anchors, drawn at random, numbered anew; all if no count is given."""
    if count is None:
        return anchors
    rng = np.random.default_rng(1000 + seed)
    some = anchors.take(np.sort(rng.choice(anchors.num_rows, count, replace=False)))
    numbers = pa.array(np.arange(count), pa.int64())
    return some.set_column(some.schema.get_field_index("source"), "source", numbers)


class Trial:
    """One pool and one set of anchors, searched and scored as a run file says.

    Args:
        run_file: Its retriever names the pool's folder.
        anchors: The table of the stage ``anchors``.
        known: What is known of the pictures.
        places: Of the pool's rows among those pictures.
        folder: For what components leave.
        components: Where they are found.
    """

    def __init__(
        self,
        run_file: RunFile,
        anchors: pa.Table,
        known: Known,
        places: Ids,
        folder: Path,
        components: Registry,
    ) -> None:
        self._folder, self.components = folder, components
        self.memory = Memory(folder)
        self.memory.tables["anchors"] = anchors
        bench = self._bench(run_file)
        self.manifest = bench.manifest({})
        for stage in (NeighborsStage, Candidates):
            self._make(stage(bench, self.memory))
        found = places[self.ids]
        self.memory.tables["downloads"] = known.downloads.take(pa.array(found))
        model = key_of(bench.one(Embedder))
        self.memory.tables["embeddings"] = known.embeddings(model, found)
        for scoring in (Scores, FittedScores, AnchorScores, Languages):
            self._make(scoring(bench, self.memory))
        self._judge(bench)

    def _bench(self, run_file: RunFile) -> Workbench:
        context = Context(self._folder, run_file.config.seed)
        bench = Workbench(run_file, self.components, context)
        check_chain(bench)
        return bench

    def _make(self, stage: TableStage | ShardedStage) -> None:
        if isinstance(stage, TableStage):
            table = stage.make()
        else:
            table = pa.concat_tables([stage.process(shard) for shard in stage.shards()])
        self.memory.tables[stage.name] = table

    def _judge(self, bench: Workbench) -> None:
        stage = Verdicts(bench, self.memory)
        self._make(stage)
        self.facts = stage.facts()
        bench.close()

    def judge_again(self, run_file: RunFile) -> None:
        """Judge the same scores by the filters of another run file."""
        self._judge(self._bench(run_file))

    @property
    def ids(self) -> Ids:
        """int64, (n,): the candidates, as rows of the pool."""
        return np.asarray(self.memory.tables["candidates"]["id"].to_numpy())

    @property
    def kept(self) -> NDArray[np.bool_]:
        """bool, (n,): which candidates were kept."""
        return np.asarray(self.verdicts["kept"].to_numpy())

    @property
    def verdicts(self) -> pa.Table:
        """The table of the stage ``verdicts``."""
        return self.memory.tables["verdicts"]

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a score of the candidates, float64, (n,)."""
        tables = (self.memory.tables[stage] for stage in ("scores", "fitted_scores"))
        table = next(table for table in tables if name in table.column_names)
        return np.asarray(table[name].to_numpy(), dtype=np.float64)


@dataclass(frozen=True)
class FullRun:
    """A run of the whole pipeline.

    Attributes:
        source: The run file.
        overrides: With the anchors and the pool of a trial.
        out: The run directory.
        reuse: Earlier ones, whose embeddings are taken over.
        labels: What its labels are, if it has any.
    """

    source: Path | dict[str, JSON]
    overrides: Sequence[str]
    out: Path
    reuse: Sequence[Path] = ()
    labels: Path | None = None


def compare(trial: Trial, full: FullRun) -> int:
    """Run the whole pipeline, and return how many verdicts are the trial's: all of them.

    Raises:
        AssertionError: A row differs.
    """
    run(full.source, full.out, full.overrides, registry(), reuse=full.reuse, labels=full.labels)
    tables = (trial.verdicts, RunDir(full.out).read("verdicts"))
    ours, theirs = (
        table.sort_by("id").select(["id", "kept", "filter"]).to_pylist() for table in tables
    )
    differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    assert not differing, f"{full.out}: {len(differing)} verdicts differ, such as {differing[0]}"
    return len(ours)
