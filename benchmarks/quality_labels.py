"""Labels for ``quality.py``: planned as by ``evaluate --plan --for fit``, told by the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from quality_pools import Mask
from quality_recipes import Recipe
from quality_runs import FullRun, Trial, compare, registry

from laion_eo.component import Context
from laion_eo.evaluation import plan_labels
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.teaching import choose_teaching
from laion_eo.labels import Label, read_labels, write_labels
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.vectors.seen import with_images
from laion_eo.pipeline.workbench import with_labels

ROUND = 10
SIZES = (ROUND, 20, 60)
"""Labels that are planned at a time; the budgets are multiples."""


class _Candidates(Candidates):
    """The candidates of a trial: what the class makes of a run directory, from memory."""

    def __init__(self, trial: Trial) -> None:
        self.run_dir, self.registry, self.manifest = trial.memory, trial.components, trial.manifest
        self.digest = ""
        verdicts = trial.verdicts
        table = with_scores(trial.memory).append_column("kept", verdicts["kept"])
        table = with_images(table.append_column("dropped_by", verdicts["filter"]))
        # No picture is twice in a pool, so none was dropped as a copy of another.
        assert "duplicates" not in verdicts["filter"].to_pylist()
        self.table: pa.Table = table


def teach(trial: Trial, recipe: Recipe, pool: Path, truth: Mask) -> Iterator[tuple[str, list[int]]]:
    """Judge a trial again with labels: more and more of them, and planned more at a time.

    Args:
        trial: It has been judged without.
        recipe: Its budgets of labels. A round is planned once the one before is labelled.
        pool: The pool; the file of labels is written beside it.
        truth: bool, (n,), of the pool's rows.

    Yields:
        What the labels are called, and the rows that have one; the trial has the verdicts.
    """
    if not recipe.labels:
        return
    candidates = _Candidates(trial)
    for size in SIZES:
        labels: list[Label] = []
        for budget in recipe.labels if size == ROUND else recipe.labels[-1:]:
            while len(labels) < budget:
                labels += _answered(choose_teaching(candidates, size, labels), truth)
            file = pool.parent / "labels.csv"
            write_labels(file, labels)
            run_file = recipe.run_file(pool)
            context = Context(pool.parent, run_file.config.seed)
            trial.judge_again(with_labels(run_file, file, trial.components, context))
            name = f"{budget} labels" + (f" ({size} at a time)" if size != ROUND else "")
            yield name, [label.id for label in labels]


def _answered(labels: Sequence[Label], truth: Mask) -> list[Label]:
    return [replace(label, label=bool(truth[label.id])) for label in labels]


def compare_taught(trial: Trial, recipe: Recipe, pool: Path, truth: Mask, finished: FullRun) -> int:
    """Plan, label and run for real, as a user would; return how many verdicts are the same.

    Args:
        trial: As for :func:`teach`.
        recipe: Likewise.
        pool: Likewise.
        truth: Likewise.
        finished: The run that was judged without labels.

    Raises:
        AssertionError: Something else was planned, or a verdict differs.
    """
    file = finished.out.with_suffix(".csv")
    taught = teach(trial, recipe, pool, truth)
    wanted = f"{recipe.labels[-1]} labels"
    told = next(told for name, told in taught if name == wanted)
    for number in range(recipe.labels[-1] // ROUND):
        before = file if number else None
        plan_labels(finished.out, ROUND, file, purpose="fit", labels=before, registry=registry())
        write_labels(file, _answered(read_labels(file), truth))
    assert sorted(told) == sorted(label.id for label in read_labels(file))
    return compare(trial, replace(finished, labels=file))
