"""The page of each kind of component in the plugin guide, written from the code."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import laion_eo
from laion_eo import types
from laion_eo.component import Component
from laion_eo.kinds import (
    KINDS,
    Kind,
    PoolModel,
    PoolSize,
    Release,
    RetrieverConfig,
    ScoreBatch,
    ShardedRetriever,
)
from laion_eo.scaffold import render
from laion_eo.schema import DOWNLOAD_STATUSES, DOWNLOADED, PUBLISHED_COLUMNS, SCORED

SUITES = Path(laion_eo.__file__).parent / "testing" / "suites"
TYPES: dict[str, tuple[type, ...]] = {
    "anchor-source": (types.Anchor, types.SkippedAnchor),
    "normalizer": (types.Anchor,),
    "augmenter": (),
    "embedder": (),
    "retriever": (types.Neighbors, PoolSize, PoolModel),
    "downloader": (types.Download, types.DownloadStatus),
    "scorer": (ScoreBatch,),
    "filter": (types.Verdict,),
    "language-tagger": (types.LanguageTags,),
    "publisher": (Release,),
}
"""What each kind takes or gives, beside arrays and tables."""
ROWS = {"scorer": DOWNLOADED, "filter": SCORED}
"""The columns of the rows that a kind gets."""
MEANINGS = {column.name: (column.unit, column.meaning) for column in PUBLISHED_COLUMNS} | {
    "view": ("index", "the augmenter's view of the anchor; 0 without one"),
    "found_by": ("anchors", "how many anchors found the row"),
    "pool_sha256": ("", "of the image that the pool's vector was made from, if the pool says it"),
    "status": ("", "how the download ended: `ok` or `animated` in these rows"),
    "status_reason": ("", "why, where it did not end well"),
    "http_code": ("", "the last answer's status code"),
    "bytes": ("byte", "size of the file"),
    "sha256": ("", "hex digest of the file"),
    "md5": ("", "likewise: what LAION's own tables know images by"),
    "format": ("", "Pillow's name of the format, such as `JPEG`"),
    "final_url": ("", "the URL after redirects"),
    "fetched_at": ("UTC", "when the download ended"),
    "image_error": ("", "why the image could not be decoded: null in these rows"),
}


def kind_page(kind: Kind) -> str:
    """Return the page: contract, types with shapes and units, a full example, the suite."""
    table = f"[[{kind.table}]]" if kind.many else f"[{kind.table}]"
    parts = [f"# A plugin with {_article(kind.name.replace('-', ' '))}", "", _doc(kind.base), ""]
    parts += [
        f"Derive from `laion_eo.kinds.{kind.base.__name__}`, return the class from the hook "
        f"[`{kind.hook}`](../hooks.md), and a run file's `{table}` can `use` it.",
        "",
        f"    laion-eo new-plugin my-{kind.name} --kind {kind.name}",
        "",
        "makes the package whose code is the example below. `name`, `summary`, `Config`, `check`, "
        "`setup`, `close`, `identity` and `facts` are the same for all kinds: see "
        "[the guide](README.md#what-every-component-has).",
        "",
        "## Contract",
        *_contract(kind.base),
    ]
    if kind.name == "retriever":
        parts += _retrievers()
    if kind.name in ROWS:
        parts += ["", *_columns(kind)]
    if TYPES[kind.name]:
        parts += ["", "## What it takes and gives"]
        for cls in TYPES[kind.name]:
            parts += ["", f"`{cls.__module__}.{cls.__name__}`", "", *_text(_described(cls))]
    return "\n".join([*parts, *_example(kind), *_suite(f"{kind.base.__name__}Tests")])


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _doc(value: object) -> str:
    """Return a docstring without the marks that only Sphinx reads."""
    return re.sub(r":\w+:`~?([^`]+)`", r"``\1``", inspect.getdoc(value) or "")


def _retrievers() -> list[str]:
    """Return what retrievers have beside their contract: options, and a search in shards."""
    lines = ["", "### `RetrieverConfig`", "", "Derive your `Config` from it.", ""]
    lines += _text(_doc(RetrieverConfig))
    lines += ["", "## Contract of a `ShardedRetriever`", "", _doc(ShardedRetriever)]
    return [*lines, *_contract(ShardedRetriever)]


def _columns(kind: Kind) -> list[str]:
    """Return the table of the columns that the kind's rows have."""
    lines = ["## The columns of its rows", "", "Candidates whose image was downloaded and decoded."]
    if kind.name == "filter":
        lines += ["The columns of the run's scorers are there too, under their own names."]
    lines += ["", "| column | type | unit | meaning |", "|---|---|---|---|"]
    for field in ROWS[kind.name]:
        lines.append(f"| `{field.name}` | {field.type} | {' | '.join(MEANINGS[field.name])} |")
    return lines


def _text(text: str) -> list[str]:
    return ["```text", text, "```"]


def _described(cls: type) -> str:
    if cls is not types.DownloadStatus:
        return _doc(cls)
    values = [f"    {value}: {meaning}" for value, meaning in DOWNLOAD_STATUSES.items()]
    return "\n".join([_doc(cls), "", "Values:", *values])


def _contract(base: type[Component]) -> list[str]:
    """Return what the kind adds to a component: each member's signature and docstring."""
    lines: list[str] = []
    for name, member in vars(base).items():
        if name.startswith("_") or not (callable(member) or isinstance(member, property)):
            continue
        if isinstance(member, type):
            continue
        must = "required" if name in base.__abstractmethods__ else "optional"
        call = "" if isinstance(member, property) else str(inspect.signature(member))
        call = call.replace("self, ", "").replace("self", "").replace("'", "")
        lines += ["", f"### `{name}{call}` ({must})", "", *_text(_doc(member))]
    return lines


def _example(kind: Kind) -> list[str]:
    files = render(f"my-{kind.name}", kind)
    lines = ["", "## A full example"]
    for path, text in files.items():
        if path.endswith(".py") and "conftest" not in path:
            lines += ["", f"`{path}`:", "", "```python", text.rstrip(), "```"]
    return lines


def _suite(name: str) -> list[str]:
    """Return the tests of a suite, from its source: the page needs no pytest to be written."""
    lines = ["", "## What its suite checks", "", f"`laion_eo.testing.suites.{name}`, beside"]
    lines += ["[what every suite checks](README.md#what-every-suite-checks):", "", *_tests(name)]
    return lines


def _tests(name: str) -> list[str]:
    for path in sorted(SUITES.glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                tests = [part for part in node.body if isinstance(part, ast.FunctionDef)]
                return [
                    f"- `{test.name}`: {' '.join((ast.get_docstring(test) or '').split())}"
                    for test in tests
                    if test.name.startswith("test_")
                ]
    raise LookupError(f"no suite {name} in {SUITES}")


def every_suite() -> str:
    """Return the tests that all suites share, as a list."""
    return "\n".join(_tests("ComponentTests"))


def list_of_kinds() -> str:
    """Return a table of the kinds, linked to their pages."""
    rows = []
    for kind in KINDS:
        cells = (f"[{kind.name}]({kind.name}.md)", f"`{kind.table}`", f"`{kind.hook}`")
        rows.append(f"| {' | '.join(cells)} | {_doc(kind.base).splitlines()[0]} |")
    return "\n".join(["| kind | run file | hook | what it does |", "|---|---|---|---|", *rows])


def list_of_fixtures() -> str:
    """Return the rows of a table of the kit's fixtures, from their source."""
    tree = ast.parse((SUITES.parent / "fixtures.py").read_text("utf-8"))
    rows = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            meaning = (ast.get_docstring(node) or "").split("\n\n")[0]
            rows.append(f"| `{node.name}` | {' '.join(meaning.split())} |")
    return "\n".join(rows)


def list_of_strategies() -> str:
    """Return the rows of a table of the kit's strategies; their source is read, not imported."""
    tree = ast.parse((SUITES.parent / "strategies.py").read_text("utf-8"))
    rows = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            names = [arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)]
            call = f"{node.name}({', '.join(name for name in names if name != 'draw')})"
            meaning = re.sub(r":func:`([^`]+)`", r"`\1`", ast.get_docstring(node) or "")
            rows.append(f"| `{call}` | {' '.join(meaning.split(chr(10) * 2)[0].split())} |")
    return "\n".join(rows)
