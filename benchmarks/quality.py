"""How right and how complete the recipes are, on pictures that the model never saw.

``python benchmarks/quality.py [--shared DIR] [--cache DIR] [--out FILE] [--seeds N]``

Pools of miniweb with 30, 5 and 1 % satellite images, each without and with hard negatives and
satellite images of new sources (hardset); 149, 50 and 20 anchors; the recipes of
``quality_recipes.py``; and the four example domains. Every picture is embedded once, into the
cache, which a second call finds. Then the stages of the pipeline themselves search, score and
judge in memory (``quality_runs.py``), and one pool of each recipe is run for real, from the run
file to the dataset: the verdicts have to be the same, row by row.

The page with all tables is written to ``--out``. The last line is JSON: the precision of our
recipe without labels at 5 % with hard negatives; the reference is the paper's.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from quality_domains import try_domains
from quality_figures import Case, Outcome, Weights
from quality_labels import compare_taught, teach
from quality_page import Results, write_page
from quality_pools import (
    HARD,
    KINDS,
    NEW,
    PLAIN,
    SHARES,
    Collection,
    draw,
    embed,
    load,
    unseen,
    write_pool,
)
from quality_recipes import OURS, PAPER, Recipe, anchors_of, recipes
from quality_runs import FullRun, Known, Trial, choose_anchors, compare, embed_anchors, registry

ANCHORS = (None, 50, 20)
ANCHORS_FILE = "anchors.parquet"
WORKERS = 2
Task = tuple[str, float, int | None, int]


@dataclass(frozen=True)
class World:
    """What every trial needs: pictures, what is known of them, and the anchors."""

    pictures: Collection
    known: Known
    anchors: pa.Table
    recipes: list[Recipe]

    @classmethod
    def load(cls, shared: Path, cache: Path) -> World:
        """Read what :func:`prepare` has left."""
        pictures = unseen(*load(shared, cache))
        anchors = pq.read_table(cache / ANCHORS_FILE)
        return cls(pictures, Known.of(pictures), anchors, recipes(pictures))

    def trials(self, task: Task, folder: Path) -> Iterator[Outcome]:
        """Yield what each recipe does with one pool."""
        kind, share, count, seed = task
        places = draw(self.pictures, kind, share, seed)
        write_pool(self.pictures, places, folder / "pool")
        anchors = choose_anchors(self.anchors, count, seed)
        for recipe in self.recipes:
            if kind != PLAIN and recipe.reads_captions:
                continue
            run_file = recipe.run_file(folder / "pool")
            trial = Trial(run_file, anchors, self.known, places, folder / "run", registry())
            yield self._outcome(Case(recipe.name, *task[:3]), places, trial, recipe, ())
            truth = self.pictures.truth[places]
            for labels, told in teach(trial, recipe, folder / "pool", truth):
                name = f"{recipe.name}, {labels}"
                yield self._outcome(Case(name, *task[:3]), places, trial, recipe, told)

    @staticmethod
    def _outcome(
        case: Case, places: np.ndarray[tuple[int, ...], np.dtype[np.int64]], trial: Trial,
        recipe: Recipe, told: Sequence[int],
    ) -> Outcome:  # fmt: skip
        size = len(places)
        found, kept, labelled = (np.zeros(size, dtype=bool) for _ in range(3))
        found[trial.ids] = True
        kept[trial.ids] = trial.kept
        labelled[list(told)] = True
        scores = np.full(size, np.nan)
        scores[trial.ids] = trial.column(recipe.ranks)
        return Outcome(case, places, found, kept, labelled, scores)


def prepare(shared: Path, cache: Path) -> None:
    """Embed the pictures and the anchors, unless they are in the cache."""
    embed(shared, cache, registry())
    if not (cache / ANCHORS_FILE).exists():
        paper = recipes(load(shared, cache)[0])[0]
        table = embed_anchors(paper.run_file(cache / "miniweb", anchors_of(shared)), cache / "none")
        pq.write_table(table, cache / ANCHORS_FILE)


_world: World


def _start(shared: Path, cache: Path) -> None:
    global _world
    _quiet()
    _world = World.load(shared, cache)


def _quiet() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("laion_eo").setLevel(logging.ERROR)


def _try(task: Task) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        return list(_world.trials(task, Path(folder)))


def try_all(shared: Path, cache: Path, seeds: int) -> dict[Case, list[Outcome]]:
    """Try every recipe with every pool and number of anchors."""
    tasks = [
        (kind, share, count, seed)
        for kind in KINDS
        for share in SHARES
        for count in (ANCHORS if kind != NEW else ANCHORS[:1])
        for seed in range(seeds)
    ]
    found = defaultdict[Case, list[Outcome]](list)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(WORKERS, spawn, _start, (shared, cache)) as workers:
        for done, outcomes in enumerate(workers.map(_try, tasks), 1):
            for outcome in outcomes:
                found[outcome.case].append(outcome)
            if done % (len(SHARES) * seeds) == 0:
                print(f"{done} of {len(tasks)} pools", flush=True)
    return dict(found)


def check(world: World, shared: Path, folder: Path) -> dict[str, int]:
    """Run each recipe for real with one pool; return how many verdicts were compared."""
    compared: dict[str, int] = {}
    first = folder / "run-0"
    for recipe in world.recipes:
        kind = PLAIN if recipe.reads_captions else HARD
        places = draw(world.pictures, kind, 0.05, 0)
        pool = folder / f"pool-{kind}"
        if not pool.exists():
            write_pool(world.pictures, places, pool)
        run_file, memory = recipe.run_file(pool), folder / "memory"
        trial = Trial(run_file, world.anchors, world.known, places, memory, registry())
        options = recipe.options(pool, anchors_of(shared))
        out = folder / f"run-{len(compared)}"
        full = FullRun(recipe.source, options, out, [first] if compared else [])
        compared[recipe.name] = compare(trial, full)
        if recipe.labels:
            name = f"{recipe.name} with {recipe.labels[-1]} labels"
            truth = world.pictures.truth[places]
            compared[name] = compare_taught(trial, recipe, pool, truth, full)
    print("the verdicts are those of runs:", compared, flush=True)
    return compared


def main() -> None:
    """Try everything, write the page, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    cache = root / "runs" / "benchmarks" / "quality"
    parser.add_argument("--shared", type=Path, default=root.parent / "shared")
    parser.add_argument("--cache", type=Path, default=cache, help="of the embedded pictures")
    parser.add_argument("--out", type=Path, default=root / "docs" / "quality.md")
    parser.add_argument("--seeds", type=int, default=8, help="pools of each kind")
    arguments = parser.parse_args()
    _quiet()
    shared, cache = arguments.shared.resolve(), arguments.cache.resolve()
    prepare(shared, cache)
    started = time.monotonic()
    world = World.load(shared, cache)
    print(f"{len(world.pictures.shown)} pictures, {world.anchors.num_rows} anchors", flush=True)
    checks = Path(tempfile.mkdtemp())
    compared = check(world, shared, checks)
    shutil.rmtree(checks)
    found = try_all(shared, cache, arguments.seeds)
    domains = try_domains(shared, cache)
    weights = Weights(world.pictures)
    figures = {case: weights.figures(outcomes) for case, outcomes in found.items()}
    seconds = round(time.monotonic() - started)
    results = Results(world.pictures, found, figures, domains, compared, arguments.seeds, seconds)
    write_page(results, arguments.out)
    print(json.dumps(summary(results)))


def summary(results: Results) -> dict[str, object]:
    """Return the JSON line."""
    paper, ours = (
        results.figures[Case(name, HARD, 0.05, None)].precision.value for name in (PAPER, OURS)
    )
    detail = {
        f"{case.recipe}, {case.share:.0%}, {case.kind}": [
            round(figure.precision.value, 3),
            round(figure.recall.value, 3),
        ]
        for case, figure in results.figures.items()
        if case.anchors is None
    }
    about = {"name": "quality", "ours": round(ours, 4), "reference": round(paper, 4)}
    return {**about, "ratio": round(ours / paper, 2), "unit": "precision", "detail": detail}


if __name__ == "__main__":
    main()
