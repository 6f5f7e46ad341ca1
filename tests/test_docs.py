from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from laion_eo import hookspecs
from laion_eo.kinds import KINDS

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["hooks.md", "commands.md", "columns.md", "components.md"])
def test_the_page_is_what_the_code_says(page: str, generate: ModuleType) -> None:
    made = f"{generate.NOTE}\n{generate.PAGES[page]().rstrip()}\n"
    assert (DOCS / page).read_text("utf-8") == made


def test_every_hook_is_documented_with_an_example() -> None:
    hooks = {
        name: function
        for name, function in vars(hookspecs).items()
        if name.startswith("laion_eo_") and inspect.isfunction(function)
    }
    assert {kind.hook for kind in KINDS} < set(hooks)
    for name, function in hooks.items():
        text = inspect.getdoc(function) or ""
        assert "Example::" in text, name
        for argument in inspect.signature(function).parameters:
            assert f"{argument}:" in text, f"{name}: {argument}"
