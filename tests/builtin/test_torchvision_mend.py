from __future__ import annotations

from pathlib import Path

import pytest
from processes import python

pytest.importorskip("torch")

ENSURE = "from laion_eo.builtin.torchvision_mend import ensure_torchvision\n"
WHOLE = '__version__ = "0"\n'
# What PyPI's torchvision does beside a CPU-only torch, whatever torch the tests run with.
BROKEN = """
import torch
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, threshold):
    return dets
from torchvision import inner
"""


def fake(folder: Path, init: str) -> str:
    """Put a torchvision into the folder; return the code that makes it the one that is found."""
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(init)
    (folder / "torchvision" / "inner.py").write_text("")
    return f"import sys; sys.path.insert(0, {str(folder)!r})\n"


def say(code: str) -> str:
    return python(code).stdout.strip()


def test_a_torchvision_in_order_is_left_alone(tmp_path: Path) -> None:
    code = ENSURE + "ensure_torchvision(); print('torch' in sys.modules)"
    assert say(fake(tmp_path, WHOLE) + code) == "False"


def test_missing_operators_are_defined_once(tmp_path: Path) -> None:
    code = """
try:
    import torchvision
except RuntimeError as error:
    print(error)
ensure_torchvision()
ensure_torchvision()  # torch would refuse to define them again
import torchvision
print(torchvision.inner.__name__)
"""
    broken, mended = say(fake(tmp_path, BROKEN) + ENSURE + code).splitlines()
    assert "torchvision::nms does not exist" in broken
    assert mended == "torchvision.inner"


def test_other_failures_are_not_hidden(tmp_path: Path) -> None:
    found_first = fake(tmp_path, "raise RuntimeError('a driver does not exist')")
    code = "try:\n ensure_torchvision()\nexcept RuntimeError as e: print(e, 'torch' in sys.modules)"
    assert say(found_first + ENSURE + code) == "a driver does not exist False"
