"""How right and how complete a run's dataset is: labels, seeds, and the receipt."""

from __future__ import annotations

from laion_eo.evaluation.evaluating import evaluate, plan_labels

__all__ = ["evaluate", "plan_labels"]
