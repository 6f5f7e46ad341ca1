"""The manifest: every number of a run, and what made it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from laion_eo.kinds import KINDS
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.workbench import Workbench
from laion_eo.types import JSON
from laion_eo.version import __version__

PACKAGES = (
    "numpy", "pyarrow", "pillow", "rasterio", "torch", "open-clip-torch", "transformers",
    "datasets",
)  # fmt: skip


def describe(bench: Workbench, run_dir: RunDir, stages: Sequence[str]) -> dict[str, JSON]:
    """Return the manifest of a run as far as it has come.

    Keys: ``laion_eo``, ``python``, ``packages`` (versions), ``run`` (the run file as written),
    ``resolved`` (the same with every default), ``seed``, ``components`` (who provides each),
    ``stages`` (parts, seconds, counts and facts of each complete stage: model hashes, thresholds),
    ``broken_plugins``.

    Args:
        bench: The run's components.
        run_dir: Where the stages' records are.
        stages: Names of the stages to tell of, in order.
    """
    records = {name: run_dir.record(name) for name in stages}
    return {
        "laion_eo": __version__,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "run": bench.run_file.data,
        "resolved": bench.resolved(),
        "seed": bench.config.seed,
        "components": _components(bench),
        "broken_plugins": [str(broken) for broken in bench.registry.broken],
        "stages": {name: vars(record) for name, record in records.items() if record},
    }


def _components(bench: Workbench) -> dict[str, JSON]:
    owners = {(entry.kind.name, entry.cls.name): entry for entry in bench.registry.entries}
    found: dict[str, JSON] = {}
    for kind in KINDS:
        for component in bench.all(kind.base):
            owner = owners[kind.name, component.name]
            about = {"plugin": owner.plugin, "distribution": owner.distribution}
            found.setdefault(kind.name, {})[component.name] = about
    return found


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
