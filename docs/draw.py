"""Draws the pictures of ``docs/architecture.md`` from the code, as SVG.

The stages, what they read and their shapes are those of ``laion_eo.pipeline.stages``; the layers
are those that ``pyproject.toml`` gives to import-linter, each module with the first line of its
docstring. What is said here of a stage is keyed by its name: a stage or a kind that is missing
here, or no longer there, is an error. ``docs/generate.py`` writes the files.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from laion_eo.kinds import KINDS
from laion_eo.pipeline import stages

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "laion_eo"

INK, GREY, LINE, PAPER = "#1b2430", "#5b6675", "#c9d1db", "#ffffff"
BLUE, BLUE_PALE = "#1f5fa8", "#e8f0fa"
GREEN, GREEN_PALE = "#1d6b4f", "#e6f4ee"
SAND, SAND_PALE = "#8a5a12", "#fbf1df"
SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"

SHAPES = {"TableStage": "one table", "ShardedStage": "shards", "StreamStage": "stream"}
"""What the picture calls the classes that a stage derives from."""


@dataclass(frozen=True)
class Said:
    """What the picture says of a step, beside what the code says.

    Attributes:
        does: What it does.
        rows: What one row of its output is.
        kinds: The kinds of component that it uses, in their order.
        outside: What it reads from, or hands to, the world outside the run directory.
        hands_over: Whether that is handed to, not read from.
    """

    does: str
    rows: str
    kinds: tuple[str, ...]
    outside: tuple[str, ...] = ()
    hands_over: bool = False


SAID = {
    "anchors": Said(
        "Read, normalize, augment and embed the anchors",
        "query vector",
        ("anchor-source", "normalizer", "augmenter", "embedder"),
        ("anchor dataset", "a few hundred images"),
    ),
    "neighbors": Said(
        "Search the pool for every anchor's k nearest rows",
        "hit",
        ("retriever",),
        ("pool: vectors", "millions to billions"),
    ),
    "candidates": Said(
        "Reduce hits to distinct images; look up URL and caption",
        "distinct image",
        ("retriever",),
        ("pool: metadata", "URLs and captions"),
    ),
    "downloads": Said(
        "Fetch and inspect the images, politely and bounded",
        "distinct URL",
        ("downloader",),
        ("the web", "images, robots.txt"),
    ),
    "embeddings": Said(
        "Decode and embed each image once; take over what is known",
        "distinct image and model",
        ("embedder",),
    ),
    "scores": Said(
        "Compute columns from stored embeddings, or from pixels",
        "candidate",
        ("embedder", "scorer"),
    ),
    "fitted_scores": Said(
        "Fit scorers on all candidates, and compute their columns",
        "candidate with an image",
        ("scorer",),
    ),
    "anchor_scores": Said(
        "Score the anchors against each other, for thresholds",
        "anchor",
        ("scorer",),
    ),
    "languages": Said(
        "Name the language of each caption",
        "downloaded candidate",
        ("language-tagger",),
    ),
    "verdicts": Said(
        "Fit the filters, then judge: kept, or dropped by which and why",
        "candidate",
        ("filter",),
    ),
    "dataset": Said(
        "Write the kept rows and the card, and publish them",
        "kept image",
        ("publisher",),
        ("Hub, or a folder", "parquet and card"),
        hands_over=True,
    ),
}


@dataclass
class Drawing:
    """SVG elements, one after the other; lengths in pixels."""

    width: int
    height: int
    title: str
    description: str

    def __post_init__(self) -> None:
        self.parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, line: str, round_: int = 8
    ) -> None:
        """Add a rectangle with round corners."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_}" '
            f'fill="{fill}" stroke="{line}"/>'
        )

    def text(self, x: float, y: float, text: str, style: str = "") -> None:
        """Add a line of text; ``style`` names classes of the style sheet."""
        named = f' class="{style}"' if style else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}"{named}>{escape(text, quote=False)}</text>')

    def arrow(self, points: Sequence[tuple[float, float]]) -> None:
        """Add a line with a head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{GREY}" stroke-width="1.5" '
            'marker-end="url(#head)"/>'
        )

    def svg(self) -> str:
        """Return the picture, on paper of its own: pages may be dark."""
        size = f'width="{self.width}" height="{self.height}"'
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {self.width} {self.height}" role="img" aria-labelledby="title what">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="what">{escape(self.description)}</desc>',
            "<style>",
            f"text {{ font: 13px {SANS}; fill: {INK}; }}",
            f".mono {{ font: 600 15px {MONO}; }}",
            f".mono-small {{ font: 12px {MONO}; }}",
            f".small {{ font-size: 12px; fill: {GREY}; }}",
            f".head {{ font-size: 12px; font-weight: 600; fill: {GREY}; letter-spacing: 0.4px; }}",
            ".middle { text-anchor: middle; }",
            ".end { text-anchor: end; }",
            f".blue {{ fill: {BLUE}; }} .green {{ fill: {GREEN}; }} .sand {{ fill: {SAND}; }}",
            ".bold { font-weight: 700; }",
            ".white { fill: #ffffff; font-weight: 600; }",
            "</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{GREY}"/></marker>'
            "</defs>",
            f'<rect width="{self.width}" height="{self.height}" rx="12" fill="{PAPER}"/>',
        ]
        return "\n".join([*head, *self.parts, "</svg>"])


def steps() -> list[type]:
    """Return the classes of the stages, and of the publishing that follows them."""
    last = vars(stages).get("Publishing")
    return [*stages.STAGES, *([last] if last else [])]


def data() -> str:
    """Return the picture of the way of the data.

    Raises:
        ValueError: A stage or a kind of the code is not in :data:`SAID`, or the other way round.
    """
    classes = steps()
    _agree("stages", [cls.name for cls in classes], SAID)
    kinds = [kind.name for kind in KINDS]
    _agree("kinds", kinds, {kind for said in SAID.values() for kind in said.kinds})

    top, pitch, tall = 64, 96, 76
    picture = Drawing(
        880,
        top + pitch * len(classes) + 8,
        "The way of the data",
        "; ".join(f"{cls.name}: {SAID[cls.name].does}" for cls in classes),
    )
    picture.text(108, 36, "OUTSIDE", "head middle")
    picture.text(424, 36, "STAGE: A TABLE IN THE RUN DIRECTORY", "head middle")
    picture.text(760, 36, "PLUGINS, BY KIND", "head middle")
    for number, cls in enumerate(classes):
        y = top + pitch * number
        if number + 1 < len(classes):
            picture.arrow([(424, y + tall), (424, y + pitch - 1)])
        _step(picture, cls, number + 1, y, tall)
    return picture.svg()


def _agree(what: str, code: Iterable[str], here: Iterable[str]) -> None:
    if differing := set(code) ^ set(here):
        differ = ", ".join(sorted(differing))
        raise ValueError(f"docs/draw.py and the code disagree about the {what}: {differ}")


def _step(picture: Drawing, cls: type, number: int, y: float, tall: float) -> None:
    said = SAID[cls.name]
    left, wide = 222, 404
    a_stage = cls in stages.STAGES
    picture.box(left, y, wide, tall, BLUE_PALE if a_stage else PAPER, BLUE)
    picture.parts.append(f'<circle cx="{left + 24}" cy="{y + 23:g}" r="12" fill="{BLUE}"/>')
    picture.text(left + 24, y + 27.5, str(number), "white middle")
    picture.text(left + 46, y + 28, cls.name, "mono blue")
    shape = next((SHAPES[base.__name__] for base in cls.__mro__ if base.__name__ in SHAPES), "")
    shape = shape if a_stage else "after the stages"
    note = ", ".join(filter(None, [shape, f"a row per {said.rows}"]))
    picture.text(left + wide - 14, y + 27, note, "small end")
    picture.text(left + 14, y + 49, said.does)
    reads = f"reads {_listed(cls.needs)}" if cls.needs else "reads no other stage"
    picture.text(left + 14, y + 66, reads, "small")
    if said.outside:
        _outside(picture, said, y, tall, left)
    _kinds(picture, said.kinds, y, tall, left + wide)


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{names[0]} to {names[-1]}"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _outside(picture: Drawing, said: Said, y: float, tall: float, right: float) -> None:
    name, note = said.outside
    middle = y + tall / 2
    picture.box(24, y + 12, 168, tall - 24, SAND_PALE, SAND, 26)
    picture.text(108, middle - 3, name, "middle bold sand")
    picture.text(108, middle + 14, note, "small middle")
    ends = [(192, middle), (right - 1, middle)]
    if said.hands_over:
        ends = [(right, middle), (193, middle)]
    picture.arrow(ends)


def _kinds(picture: Drawing, kinds: Sequence[str], top: float, tall: float, left: float) -> None:
    """Add a pill for each kind, two in a row, and a dotted line to the stage."""
    rows = [kinds[start : start + 2] for start in range(0, len(kinds), 2)]
    high, gap, middle = 26, 6, top + tall / 2
    picture.parts.append(
        f'<line x1="{left:g}" y1="{middle:g}" x2="{left + 24:g}" y2="{middle:g}" '
        f'stroke="{GREEN}" stroke-width="1.5" stroke-dasharray="2 3"/>'
    )
    begin = middle - (len(rows) * (high + gap) - gap) / 2
    for place, row in enumerate(rows):
        x = left + 24
        for kind in row:
            wide = 7.3 * len(kind) + 18
            picture.box(x, begin + place * (high + gap), wide, high, GREEN_PALE, GREEN, 13)
            middle_x = x + wide / 2
            picture.text(
                middle_x, begin + place * (high + gap) + 17, kind, "mono-small middle green"
            )
            x += wide + gap


def layer_rows() -> list[list[str]]:
    """Return the layers of ``pyproject.toml``, the highest first, each its modules' short names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    listed = next(c["layers"] for c in contracts if c["type"] == "layers")
    return [[name.strip().removeprefix(f"{PACKAGE}.") for name in row.split("|")] for row in listed]


def layers() -> str:
    """Return the picture of the layers: each may import what is below it."""
    rows = layer_rows()
    top, left, width, gap, line = 60, 56, 880, 8, 25
    heights = [sum(line + 17 * bool(_folders(name)) for name in row) + 9 for row in rows]
    bottom = top + sum(heights) + gap * (len(rows) - 1)
    described = "; ".join(", ".join(row) for row in rows)
    picture = Drawing(width, bottom + 20, "The layers, the highest first", described)
    picture.text(left, 36, "A BOX IS A LAYER: IT IMPORTS WHAT IS BELOW IT, NEVER BACK UP", "head")
    picture.arrow([(34, top + 2), (34, bottom)])
    turned = f'transform="translate(24 {(top + bottom) / 2:g}) rotate(-90)"'
    picture.parts.append(f'<text class="small middle" {turned}>imports</text>')
    y = float(top)
    for place, (row, high) in enumerate(zip(rows, heights, strict=True)):
        _layer(picture, row, (left, y, width - left - 24, high), place / (len(rows) - 1))
        y += high + gap
    return picture.svg()


def _layer(
    picture: Drawing, names: Sequence[str], place: tuple[float, float, float, float], depth: float
) -> None:
    """Add a layer: a line for each module, and the folders of those that have some."""
    x, y, wide, high = place
    picture.box(x, y, wide, high, "#f6f9fc", LINE, 6)
    shade = f"{1 - 0.75 * depth:.2f}"
    picture.parts.append(
        f'<rect x="{x:g}" y="{y:g}" width="6" height="{high:g}" rx="3" fill="{BLUE}" '
        f'fill-opacity="{shade}"/>'
    )
    line = y + 21
    for name in names:
        folder = (ROOT / PACKAGE / name).is_dir()
        picture.text(x + 20, line, f"{name}/" if folder else f"{name}.py", "mono-small bold")
        picture.text(x + 148, line, _summary(name), "small")
        if inner := _folders(name):
            line += 17
            picture.text(x + 148, line, " · ".join(f"{each}/" for each in inner), "small blue")
        line += 25


def _folders(name: str) -> list[str]:
    """Return the packages directly inside one."""
    return sorted(path.parent.name for path in (ROOT / PACKAGE / name).glob("*/__init__.py"))


def _summary(name: str) -> str:
    """Return the first line of a module's docstring, as plain text."""
    path = ROOT / PACKAGE / name
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    return re.sub("`+", "", text.partition("\n")[0]).rstrip(".")
