"""What a session runs with: its versions and its machine, but neither host nor user name."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from laion_eo import version
from laion_eo.pipeline.manifest import Machine, Software

PACKAGES = (
    "numpy", "pyarrow", "pillow", "rasterio", "torch", "open-clip-torch", "transformers",
    "datasets",
)  # fmt: skip
"""Those whose versions may change what comes out."""
_CPUINFO = Path("/proc/cpuinfo")


def software() -> Software:
    """Return the versions of this process."""
    return Software(
        laion_eo=version.__version__,
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
    )


def machine() -> Machine:
    """Return the machine of this process; its GPUs only once torch uses them."""
    return Machine(
        system=_system(),
        architecture=platform.machine(),
        processor=_processor(),
        cpus=_cpus(),
        accelerator=_accelerator(),
    )


def _version(distribution: str) -> str | None:
    try:
        return installed_version(distribution)
    except PackageNotFoundError:
        return None


@cache
def _system() -> str:
    system = platform.system()
    library = " ".join(platform.libc_ver()).strip() if system == "Linux" else platform.release()
    return f"{system}, {library}" if library else system


@cache
def _processor() -> str:
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text("utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def _cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _accelerator() -> str | None:
    """Return the GPUs that torch is using; it is never imported for this."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    names = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    kinds = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    return ", ".join(kinds) or None
