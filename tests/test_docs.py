from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from laion_eo import hookspecs
from laion_eo.kinds import KINDS
from laion_eo.pipeline.stages import STAGES
from laion_eo.registry import Registry
from laion_eo.scaffold import render

TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / "docs"

HOOKS = {
    name: function
    for name, function in vars(hookspecs).items()
    if name.startswith("laion_eo_") and inspect.isfunction(function)
}
PAGES = (
    *("hooks.md", "commands.md", "columns.md", "components.md", "plugins/README.md"),
    *("images/data.svg", "images/layers.svg", "manifest.schema.json"),
    *(f"../examples/{name}.toml" for name in ("clip-art", "dogs", "parking", "rivers")),
)


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(DOCS))


@pytest.mark.parametrize("page", [*PAGES, *(f"plugins/{kind.name}.md" for kind in KINDS)])
def test_the_page_is_what_the_code_says(page: str, generate: ModuleType) -> None:
    assert (DOCS / page).read_text("utf-8") == generate.written(page)


def test_no_page_is_left_out(generate: ModuleType) -> None:
    assert set(generate.PAGES) == {*PAGES, *(f"plugins/{kind.name}.md" for kind in KINDS)}


def test_every_hook_is_documented_with_an_example() -> None:
    assert {kind.hook for kind in KINDS} < set(HOOKS)
    for name, function in HOOKS.items():
        text = inspect.getdoc(function) or ""
        assert "Example::" in text, name
        for argument in inspect.signature(function).parameters:
            assert f"{argument}:" in text, f"{name}: {argument}"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_used_in_the_guide(hook: str) -> None:
    guide = "\n".join(page.read_text("utf-8") for page in (DOCS / "plugins").glob("*.md"))
    implemented = re.findall(r"@hookimpl\ndef (laion_eo_\w+)\(", guide)
    assert hook in implemented


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_tested(hook: str) -> None:
    """A hook of a kind by the package of new-plugin, whose tests are run; the others by name."""
    kind = next((kind for kind in KINDS if kind.hook == hook), None)
    if kind:
        files = render("a-plugin", kind)
        assert f"def {hook}(" in files["a_plugin/__init__.py"]
        assert "def test_a_run_uses_it(" in files[f"tests/test_{kind.name.replace('-', '_')}.py"]
    else:
        tests = [path for path in TESTS.rglob("*.py") if path.name != Path(__file__).name]
        assert any(f"def {hook}(" in path.read_text("utf-8") for path in tests)


def test_the_guides_hooks_have_the_right_arguments(generate: ModuleType) -> None:
    """Every Python block of the guide compiles; its hooks are registered without complaint."""
    text = (DOCS / "plugins" / "README.md").read_text("utf-8")
    block = next(
        code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "add_co" in code
    )
    module = ModuleType("guide")
    exec(compile(block, "README.md", "exec"), vars(module))
    assert not Registry.load([module]).broken


def test_the_picture_has_every_stage_and_kind(generate: ModuleType) -> None:
    picture = ElementTree.fromstring(generate.draw.data())
    texts = {"".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {stage.name for stage in STAGES} | {kind.name for kind in KINDS} <= texts


def test_a_stage_that_the_picture_does_not_know_is_an_error(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(generate.draw.SAID, STAGES[0].name)
    with pytest.raises(ValueError, match=f"the stages: {STAGES[0].name}$"):
        generate.draw.data()


def test_the_picture_has_every_module_of_the_layers(generate: ModuleType) -> None:
    """The layers are import-linter's; what no layer names, it would not check."""
    drawn = {name for row in generate.draw.layer_rows() for name in row}
    package = TESTS.parent / "laion_eo"
    modules = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert drawn == modules | folders


@pytest.mark.parametrize("page", ["architecture.md", "decisions/README.md"])
def test_links_of_the_page_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not ((DOCS / page).parent / link).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    pages = {path.name for path in (DOCS / "decisions").glob("0*.md")}
    listed = re.findall(r"\]\((0[^)]+)\)", (DOCS / "decisions" / "README.md").read_text("utf-8"))
    assert sorted(pages) == listed
