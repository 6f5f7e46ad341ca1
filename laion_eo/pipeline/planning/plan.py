"""What a run would do: which stages, over how much, for about how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from laion_eo.blame import naming_culprits
from laion_eo.kinds import AnchorSource, PoolSize, Retriever, texts_beside
from laion_eo.kinds.contract import check_count, check_size
from laion_eo.pipeline.planning.assumptions import Assumption, assumptions
from laion_eo.pipeline.runner import Runner
from laion_eo.pipeline.stages import Step
from laion_eo.registry import Registry

# Rows a second of each stage, on two cores without a GPU: for a first guess, before the run
# directory has figures of its own. The embedders' rate is that of CLIP ViT-B-32.
TYPICAL_RATES = {
    "anchors": 20.0,
    "candidates": 50_000.0,
    "downloads": 30.0,
    "embeddings": 15.0,
    "scores": 60.0,
    "fitted_scores": 2_000.0,
    "anchor_scores": 2_000.0,
    "languages": 100.0,
    "verdicts": 100_000.0,
    "dataset": 50_000.0,
}
PRODUCTS_PER_SECOND = 25e9
"""Multiply-adds of a search on two cores: one for each anchor and each two-byte number."""
BYTES_PER_IMAGE = 100_000
"""A typical JPEG of the web."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """What would happen to one stage.

    Attributes:
        name: The stage.
        state: ``done``, ``run``, or ``resume`` where parts of it are there.
        components: The names of the components that it uses.
        rows: Rows at most; ``None`` where that is not known yet.
        seconds: About how long; ``None`` likewise.
    """

    name: str
    state: str
    components: tuple[str, ...]
    rows: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Attributes:
        stages: In order.
        pool_rows: Rows of the pool; ``None`` where that is not cheap to know.
        pool_bytes: Bytes that the search reads.
        download_bytes: Bytes of images at most, at 100 kB each.
        assumed: The defaults that stand where the run file says nothing.
    """

    stages: tuple[PlannedStage, ...]
    pool_rows: int | None
    pool_bytes: int | None
    download_bytes: int | None
    assumed: tuple[Assumption, ...] = ()


def plan(
    source: str | Path | Mapping[str, object],
    out: str | Path,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> Plan:
    """Say what ``run`` with the same arguments would do, without doing any of it.

    Raises:
        ConfigError: The run file is wrong, or a package, a model or a file is missing; or the pool
            was made with another model.
        DataError: The anchors or the pool are missing.
    """
    source = Path(source) if isinstance(source, str) else source
    runner = Runner(source, Path(out), overrides, registry)
    with naming_culprits(runner.registry):
        return _plan(runner)


def _plan(runner: Runner) -> Plan:
    runner.check()
    retriever = runner.workbench.one(Retriever)
    size = check_size(retriever, retriever.pool_size())
    source = runner.workbench.one(AnchorSource)
    counted = source.count()
    anchors = None
    if counted is not None:
        anchors = check_count(source, counted, "samples") + len(texts_beside(source))
    hits = None if anchors is None else retriever.config.most_hits(anchors)
    images = hits if size is None or hits is None else min(hits, size.rows)
    rows = {"anchors": anchors, "neighbors": hits}
    stages = []
    for step in runner.steps:
        names = tuple(component.name for component in step.components())
        state = _state(runner, step)
        expected = rows.get(step.name, images)
        seconds = 0.0 if state == "done" else _seconds(step.name, expected, anchors, size)
        stages.append(PlannedStage(step.name, state, names, expected, seconds))
    return Plan(
        tuple(stages),
        size.rows if size else None,
        size.bytes if size else None,
        None if images is None else images * BYTES_PER_IMAGE,
        assumptions(runner.workbench),
    )


def _state(runner: Runner, step: Step) -> str:
    if runner.up_to_date(step):
        return "done"
    return "resume" if runner.done_parts(step) else "run"


def _seconds(
    stage: str, rows: int | None, anchors: int | None, size: PoolSize | None
) -> float | None:
    """Return about how long a stage takes, or ``None`` where its rows are not known."""
    if stage == "neighbors":
        if anchors is None or size is None:
            return None
        return anchors * size.bytes / 2 / PRODUCTS_PER_SECOND
    return None if rows is None else rows / TYPICAL_RATES[stage]
