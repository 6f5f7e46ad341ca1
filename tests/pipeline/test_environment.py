from __future__ import annotations

import getpass
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from laion_eo.pipeline.environment import PACKAGES, machine, software


def test_the_versions_are_those_that_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "numpy-99.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 99.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("laion_eo.version.__version__", "7.0")
    here = software()
    assert here.laion_eo == "7.0"
    assert here.python == platform.python_version()
    assert here.packages["numpy"] == "99.1"
    assert here.packages.keys() <= set(PACKAGES)


def test_the_machine_has_no_name_and_no_user() -> None:
    here = machine()
    assert here.system.startswith(platform.system())
    assert here.architecture == platform.machine()
    assert here.processor
    assert here.cpus >= 1
    said = here.model_dump_json().lower()
    assert platform.node().lower() not in said
    assert f'"{getpass.getuser().lower()}' not in said


def test_gpus_are_those_that_torch_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["H100", "H100", "A10"]
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: len(names),
        get_device_name=lambda index: names[index],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert machine().accelerator == "2 x H100, 1 x A10"
    cuda.is_initialized = lambda: False  # imported for the CPU, say
    assert machine().accelerator is None
    monkeypatch.delitem(sys.modules, "torch")
    assert machine().accelerator is None


def test_torch_is_not_imported_for_it() -> None:
    code = (
        "import sys; from laion_eo.pipeline.environment import machine, software\n"
        "machine(); software(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
