"""Labels for ``quality.py``: planned as by ``evaluate --plan --for fit``, told by the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from quality_pools import Mask
from quality_recipes import Recipe
from quality_runs import Trial

from laion_eo.component import Context
from laion_eo.evaluation.candidates import Candidates
from laion_eo.evaluation.teaching import choose_teaching
from laion_eo.labels import Label, write_labels
from laion_eo.pipeline.labelling import with_labels
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.vectors.seen import with_images


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


def teach(
    trial: Trial, recipe: Recipe, folder: Path, truth: Mask
) -> Iterator[tuple[int, list[int]]]:
    """Judge a trial again with more and more labels.

    Args:
        trial: It has been judged without.
        recipe: Its budgets of labels; each is planned once the one before is labelled.
        folder: For the file of labels; it has the pool.
        truth: bool, (n,), of the pool's rows.

    Yields:
        The budget, and the rows that are labelled; the trial has the verdicts.
    """
    if not recipe.labels:
        return
    candidates, labels = _Candidates(trial), list[Label]()
    for budget in recipe.labels:
        planned = choose_teaching(candidates, budget - len(labels), labels)
        labels += [replace(label, label=bool(truth[label.id])) for label in planned]
        file = folder / "labels.csv"
        write_labels(file, labels)
        run_file = recipe.run_file(folder / "pool")
        context = Context(folder, run_file.config.seed)
        trial.judge_again(with_labels(run_file, file, trial.components, context))
        yield budget, [label.id for label in labels]
