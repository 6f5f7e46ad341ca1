"""A run that keeps green and red pictures alike, of which only the green ones are of the domain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from laion_eo.labels import read_labels, write_labels
from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry
from laion_eo.types import JSON


@dataclass
class GreenRun:
    """A run that keeps green and red pictures alike, and what is needed to run it again."""

    data: dict[str, JSON]
    folder: Path
    registry: Registry

    def run(self, **options: JSON) -> list[str]:
        """Run it again; return the steps that had work to do."""
        return run(self.data, self.folder, registry=self.registry, **options).ran

    def verdicts(self) -> dict[int, str | None]:
        """The filter that dropped each image."""
        table = RunDir(self.folder).read("verdicts")
        return dict(zip(table["id"].to_pylist(), table["filter"].to_pylist(), strict=True))

    def truth(self) -> dict[int, bool]:
        """Whether each image is green."""
        rows = RunDir(self.folder).read("candidates", ["id", "url"]).to_pylist()
        return {row["id"]: "red" not in row["url"] for row in rows}

    def answer(self, path: Path) -> Path:
        """Fill in the labels of a plan."""
        truth = self.truth()
        kinds = {True: "field", False: "brick"}
        labels = [
            replace(label, label=truth[label.id], kind=kinds[truth[label.id]])
            for label in read_labels(path)
        ]
        write_labels(path, labels)
        return path
