from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from laion_eo.builtin.filters.min_size import MinSize
from laion_eo.errors import RunError
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Filter, FitData
from laion_eo.pipeline import run
from laion_eo.pipeline.stages import STAGES
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import JSON


def test_lifecycle_hooks_are_called_in_order(run_data: dict[str, JSON], tmp_path: Path) -> None:
    calls: list[str] = []

    class Listener:
        @hookimpl
        def laion_eo_before_run(self, stages: Sequence[str], manifest: dict[str, JSON]) -> None:
            calls.append(f"before {len(stages)}")
            manifest["ticket"] = "EO-17"

        @hookimpl
        def laion_eo_after_batch(self, stage: str, done: int, total: int) -> None:
            calls.append(f"{stage} {done}/{total}")

        @hookimpl
        def laion_eo_after_run(self, manifest: dict[str, JSON]) -> None:
            calls.append(f"after {manifest['ticket']}")

        @hookimpl
        def laion_eo_card_sections(self, manifest: dict[str, JSON]) -> str:
            return f"## Thanks\n\nto {len(manifest['stages'])} stages"

    result = run(run_data, tmp_path / "run", registry=Registry.discover([colours, Listener()]))
    assert calls[0] == f"before {len(STAGES) + 1}"
    assert calls[-1] == "after EO-17"
    assert "scores 5/5" in calls
    assert json.loads((result.folder / "manifest.json").read_text())["ticket"] == "EO-17"
    assert f"## Thanks\n\nto {len(STAGES)} stages" in (result.dataset / "README.md").read_text()


def test_on_error_names_the_stage(run_data: dict[str, JSON], tmp_path: Path) -> None:
    seen: list[str] = []

    @hookimpl
    def laion_eo_on_error(stage: str, error: BaseException) -> None:
        seen.append(f"{stage}: {type(error).__name__}")

    class Undecided(MinSize):
        name = "undecided"

        def fit(self, data: FitData) -> None:
            raise RunError(f"none of {len(data.table)} rows is like another")

    @hookimpl
    def laion_eo_filters() -> list[type[Filter]]:
        return [Undecided]

    listener: Any = SimpleNamespace(
        laion_eo_on_error=laion_eo_on_error, laion_eo_filters=laion_eo_filters
    )
    data = run_data | {"filters": [{"use": "undecided"}]}
    with pytest.raises(RunError, match="rows is like another"):
        run(data, tmp_path / "run", registry=Registry.discover([colours, listener]))
    assert seen == ["verdicts: RunError"]
