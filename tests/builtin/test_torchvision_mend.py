from __future__ import annotations

from pathlib import Path

import pytest
from processes import python

pytest.importorskip("torch")

ENSURE = "from laion_eo.builtin.torchvision_mend import _libraries, ensure_torchvision\n"
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
    code = ENSURE + "ensure_torchvision(); print(len(_libraries), 'torch' in sys.modules)"
    assert say(fake(tmp_path, WHOLE) + code) == "0 False"


def test_missing_operators_are_defined_once(tmp_path: Path) -> None:
    found_first = fake(tmp_path, BROKEN)
    plain = "try:\n import torchvision\nexcept RuntimeError as e: print(e)\n"
    code = "ensure_torchvision(); ensure_torchvision()\nimport torchvision\n"
    end = "print(len(_libraries), torchvision.inner.__name__)"
    without, mended = say(found_first + plain + ENSURE + code + end).splitlines()
    assert "torchvision::nms does not exist" in without
    assert mended == "1 torchvision.inner"


def test_other_failures_are_not_hidden(tmp_path: Path) -> None:
    found_first = fake(tmp_path, "raise RuntimeError('a driver does not exist')")
    code = "try:\n ensure_torchvision()\nexcept RuntimeError as e: print(e, len(_libraries))"
    assert say(found_first + ENSURE + code) == "a driver does not exist 0"
