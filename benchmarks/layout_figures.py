"""How the package hangs together: ``python benchmarks/layout_figures.py [CHECKOUT ...]``.

Counts in each checkout (this one by default; give two for before and after), without importing it:

- import circles: groups of modules that reach each other, and of siblings (the modules and folders
  of one folder, with what is in them). Imports inside functions count; a second count adds those
  under ``if TYPE_CHECKING``.
- imports that run back up: from a module to one of a higher layer, or to its neighbour in the same
  layer, by the layers of that checkout's own ``pyproject.toml``. The package itself, ``laion_eo``,
  is the highest: ``from laion_eo import __version__`` far below runs back up.
- what lies directly in a folder: modules and sub-packages, without ``__init__.py``. The package's
  own folder is counted apart.
- the lines and files that the wheel carries.

Needs grimp (which import-linter brings) and git. The last line is the figures as JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "laion_eo"
BUILTIN = f"{PACKAGE}.builtin"
Imports = set[tuple[str, str]]
TEXT = {".py", ".j2", ".md", ".json", ".toml", ".typed"}


def read_graph(checkout: Path, type_checking: bool) -> grimp.ImportGraph:
    """Return who imports whom, imports inside functions among it."""
    sys.path.insert(0, str(checkout))
    try:
        importlib.invalidate_caches()
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None or checkout not in Path(spec.origin).parents:
            sys.exit(f"{checkout}: no package {PACKAGE} there, or another one comes first")
        return grimp.build_graph(
            PACKAGE, exclude_type_checking_imports=not type_checking, cache_dir=None
        )
    finally:
        sys.path.remove(str(checkout))


def imports_of(graph: grimp.ImportGraph) -> Imports:
    """Return pairs (importer, imported)."""
    return {
        (m, other) for m in graph.modules for other in graph.find_modules_directly_imported_by(m)
    }


def circles(imports: Imports) -> list[list[str]]:
    """Return the groups of two or more that reach each other."""
    following = defaultdict(set)
    for importer, imported in imports:
        following[importer].add(imported)
    reached = {name: _reach(name, following) for name in following}
    groups = {
        tuple(sorted(other for other in reach if name in reached.get(other, ())))
        for name, reach in reached.items()
        if name in reach
    }
    return sorted(list(group) for group in groups)


def _reach(start: str, following: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = following.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def circles_of_siblings(graph: grimp.ImportGraph) -> list[list[str]]:
    """Return the circles among the direct children of each package, their contents included."""
    found = []
    for package in sorted(graph.modules):
        children = graph.find_children(package)
        between = {pair for pair in _lifted(imports_of(graph), children) if pair[0] != pair[1]}
        found += circles(between)
    return found


def _lifted(imports: Imports, children: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yield the imports between the given packages, each end replaced by the package it is in."""
    depth = {child.count(".") for child in children}
    if not depth:
        return
    cut, wanted = depth.pop() + 1, set(children)
    for pair in imports:
        importer, imported = (".".join(name.split(".")[:cut]) for name in pair)
        if importer in wanted and imported in wanted:
            yield importer, imported


def layers(checkout: Path) -> list[list[str]]:
    """Return the layers of the checkout's import-linter contract, the highest first."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    listed = next(c["layers"] for c in contracts if c["type"] == "layers")
    return [[PACKAGE], *([name.strip() for name in re.split(r"[|:]", row)] for row in listed)]


def back_up(imports: Imports, rows: list[list[str]]) -> list[str]:
    """Return the imports that run back up, or sideways within a layer."""
    rank = {name: number for number, row in enumerate(rows) for name in row}

    def layer(module: str) -> str | None:
        named = [name for name in rank if module == name or module.startswith(f"{name}.")]
        named = [name for name in named if name != PACKAGE or module == PACKAGE]
        return max(named, key=len, default=None)

    found = []
    for importer, imported in sorted(imports):
        above, below = layer(importer), layer(imported)
        if above and below and above != below and rank[below] <= rank[above]:
            found.append(f"{importer} -> {imported}")
    return found


def wheel_lines(checkout: Path) -> tuple[int, int, int]:
    """Return what hatch packs, the package's files that git does not ignore.

    Returns:
        Lines of Python, lines of all text, number of files.
    """
    listed = subprocess.run(
        ["git", "-C", checkout, "ls-files", "-z", "-co", "--exclude-standard", PACKAGE],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [checkout / name for name in listed.split("\0") if name]
    paths = [path for path in paths if path.is_file()]
    lines = {p: len(p.read_bytes().splitlines()) for p in paths if p.suffix in TEXT}
    python = sum(count for path, count in lines.items() if path.suffix == ".py")
    return python, sum(lines.values()), len(paths)


def figures(checkout: Path) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the figures of a checkout, and what stands behind those that should be 0."""
    graph, typed = (read_graph(checkout, type_checking) for type_checking in (False, True))
    imports, rows = imports_of(graph), layers(checkout)
    typed_only = imports_of(typed) - imports
    folders = {m: len(graph.find_children(m)) for m in graph.modules if m != PACKAGE}
    largest = max(folders, key=lambda name: folders[name])
    builtin = graph.find_children(BUILTIN)
    across = [pair for pair in _lifted(imports, builtin) if pair[0] != pair[1]]
    found = {
        "circles of modules": circles(imports),
        "circles of siblings at any depth": circles_of_siblings(graph),
        "circles of modules, with TYPE_CHECKING": circles(imports | typed_only),
    }
    behind = {name: [" <-> ".join(group) for group in groups] for name, groups in found.items()}
    behind["imports that run back up"] = back_up(imports, rows)
    behind["the same under TYPE_CHECKING alone"] = back_up(typed_only, rows)
    python, text, files = wheel_lines(checkout)
    counted = {name: len(lines) for name, lines in behind.items()} | {
        "direct children of the largest folder": folders[largest],
        "direct children of builtin/": len(builtin),
        "imports between children of builtin/": len(across),
        "direct children of pipeline/": len(graph.find_children(f"{PACKAGE}.pipeline")),
        "direct children of the package": len(graph.find_children(PACKAGE)),
        "modules": len(graph.modules),
        "imports": len(imports),
        "lines of Python in the wheel": python,
        "lines of text in the wheel": text,
        "files in the wheel": files,
    }
    return counted, {**behind, "largest folder": [largest]}


def main() -> None:
    """Print the figures of each checkout side by side, and what is wrong with the last."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT], metavar="CHECKOUT")
    checkouts = [path.resolve() for path in parser.parse_args().checkouts]
    names = [path.name for path in checkouts]
    if len(set(names)) < len(names):
        names = [f"{number} {name}" for number, name in enumerate(names, 1)]
    all_of_them = dict(zip(names, map(figures, checkouts), strict=True))
    print(f"{'':42}" + "".join(f"{name:>10}" for name in names))
    for what in all_of_them[names[0]][0]:
        print(f"{what:42}" + "".join(f"{all_of_them[name][0][what]:>10,}" for name in names))
    for name, (_, behind) in all_of_them.items():
        for what, lines in behind.items():
            for line in lines:
                print(f"{name}: {what}: {line}")
    print(json.dumps({name: counted for name, (counted, _) in all_of_them.items()}))


if __name__ == "__main__":
    main()
