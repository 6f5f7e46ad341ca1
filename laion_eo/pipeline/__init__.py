"""The pipeline: stages, run directory, engines, and the calls behind the commands."""

from __future__ import annotations

from laion_eo.pipeline.planning.assumptions import Assumption
from laion_eo.pipeline.planning.plan import Plan, PlannedStage, plan
from laion_eo.pipeline.runner import Runner, RunResult, run

__all__ = ["Assumption", "Plan", "PlannedStage", "RunResult", "Runner", "plan", "run"]
