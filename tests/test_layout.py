"""Where things are: tests beside their modules, folders of a size that a reader takes in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "laion_eo"
FAKES = TESTS / "fakes"
MOST_CHILDREN = 15
"""Of a folder: what a reader takes in at a look."""

CROSS_MODULE = {
    "builtin/downloaders/http/test_hostile.py": "the whole downloader against a hostile web",
    "builtin/downloaders/http/test_tls.py": "the whole downloader against bad certificates",
    "builtin/retrievers/test_hostile_pools.py": "both retrievers over pools altered at random",
    "builtin/language_taggers/test_missing_packages.py": "both taggers without their extras",
    "cli/test_secrets.py": "planted secrets, and all that commands leave",
    "crash/test_damage.py": "commands that meet damaged files",
    "crash/test_kills.py": "commands that are killed",
    "crash/test_power_loss.py": "commands whose machine loses power",
    "crash/test_ray.py": "a run on a cluster whose workers are killed",
    "dataset/test_datasets3.py": "the loading script in the last datasets that runs scripts",
    "dataset/test_names.py": "the bare name, from each place where it can be loaded",
    "demo/test_optimized.py": "the demo under python -O",
    "fuzz/test_answers.py": "odd answers of a kNN service",
    "fuzz/test_images.py": "damaged images, alone and through a run",
    "fuzz/test_odd_strings.py": "strings that no table can hold, through a run",
    "fuzz/test_plugin_outputs.py": "odd outputs of plugins of every kind",
    "fuzz/test_run_files.py": "mutated run files",
    "hub/test_releasing_faults.py": "releasing to a Hub that fails",
    "test_docs.py": "the pages of docs/, and docs/generate.py",
    "test_examples.py": "the run files of examples/",
    "test_layout.py": "the tree itself",
    "test_lightness.py": "what an import loads",
    "test_tutorial.py": "the tutorial of docs/plugins",
    "testing/test_built_ins.py": "every built-in component against the suite of its kind",
}
"""Tests of no single module, and what they are of."""

ASTRAY = {
    "cli/output/test_summary_downloads.py",
    "pipeline/test_download_resume.py",
    "pipeline/test_lifecycle.py",
}
"""Tests of one module that stand elsewhere still. This list only shrinks."""


def children(folder: Path) -> list[str]:
    """The folders and modules in a folder of the package."""
    found = [path for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"]
    return sorted(path.name for path in found if path.name not in ("__init__.py", "__pycache__"))


FOLDERS = sorted(
    # The root's are in layers, and the commands in the order in which they are used.
    {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE, PACKAGE / "cli"},
    key=str,
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_can_be_taken_in_at_a_look(folder: Path) -> None:
    assert len(children(folder)) <= MOST_CHILDREN, children(folder)


def has_module(test: Path) -> bool:
    """Whether a test stands where its module does.

    ``tests/a/test_b.py`` is of ``laion_eo/a/b.py`` or the package ``laion_eo/a/b``, and
    ``tests/a/test_a.py`` of the package ``laion_eo/a``. Our fakes have tests too.
    """
    folder, name = test.relative_to(TESTS).parent, test.stem.removeprefix("test_")
    homes = [PACKAGE / folder / f"{name}.py", PACKAGE / folder / name / "__init__.py"]
    if folder.name == name:
        homes.append(PACKAGE / folder / "__init__.py")
    if test.parent == FAKES:
        homes.append(FAKES / f"{name}.py")
    return any(home.is_file() for home in homes)


def test_tests_stand_where_their_modules_do() -> None:
    astray = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("test_*.py")
        if not has_module(path)
    }
    assert astray - set(CROSS_MODULE) - ASTRAY == set()


def private_names(tree: ast.AST) -> Iterator[str]:
    """The private names that a module sets on others, by ``setattr`` or by assignment.

    Dunders do not count, and neither does what a class of the tests sets on itself.
    """
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("setattr", "delattr", "patch", "patch.object")
        ):
            given = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
            names = [value.rpartition(".")[2] for value in given if isinstance(value, str)]
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            names = [node.attr] if ast.unparse(node.value) not in ("self", "cls") else []
        yield from (name for name in names if name.startswith("_") and not name.endswith("__"))


def test_no_test_replaces_a_private_name() -> None:
    found = {
        path.relative_to(TESTS).as_posix(): list(private_names(ast.parse(path.read_text("utf-8"))))
        for path in TESTS.rglob("*.py")
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("monkeypatch.setattr(module, '_private', 1)", ["_private"]),
        ("monkeypatch.setattr('package.module._private', 1)", ["_private"]),
        ("setattr(thing, '_private', 1)", ["_private"]),
        ("monkeypatch.delattr(module, '_private')", ["_private"]),
        ("with mock.patch.object(module, '_private'): pass", ["_private"]),
        ("thing._private = 1", ["_private"]),
        ("thing._inner.public = 1", []),
        ("self._own = 1", []),
        ("monkeypatch.setattr(module, '__version__', '1')", []),
    ],
)
def test_what_counts_as_replacing_a_private_name(code: str, names: list[str]) -> None:
    assert list(private_names(ast.parse(code))) == names
