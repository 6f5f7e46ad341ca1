"""Run files, mutated: a documented error in one line, or a dataset, and nothing else."""

from __future__ import annotations

import io
import math
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from datetime import date, time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laion_eo.cli import main
from laion_eo.config import RunConfig
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.texts import one_line
from laion_eo.types import JSON

WAITS = {"delay", "timeout", "connect_timeout", "idle_timeout", "max_wait", "retries"}
"""Options that are meant to make a run wait: with odd values of these, it is only planned."""
NUMBERS = [
    0, -1, 1, 2, 2**31, 2**63 - 1, 2**63, 10**400, 0.0, -1.0, 0.5, 1e308, 1e-300, math.inf,
    -math.inf, math.nan, True, False,
]  # fmt: skip
TEXTS = [
    "", " ", "\n", "a\nb", "\0", "a\0b", "\x1b[2J", "\u202e", "é🛰", "..", "/", "~", "/dev/null",
    "x" * 300, "x" * 10_000, "{env}", "${HOME}", "exact-scan", "images", "none", "colours", "local",
    "5", "nan",
]  # fmt: skip
OTHERS = [
    [], {}, [[]], [1, "a"], {"use": "x"}, {"env": "NO_SUCH_NAME"}, [{}], date(1979, 5, 27),
    time(7, 32), [math.nan],
]  # fmt: skip
PLAUSIBLE = [0, 1, 2, 3, 64, 0.5, 1.0, True, False, "a b"]
"""Values that many an option can have: such a file often runs."""
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.sampled_from(OTHERS), st.text(max_size=20)
)
BYTES = [
    b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xe9", b"\n[anchors]\n", b"\n[[filters]]\n",
    b"x.y.z = 1\n", b"a = " + b"[" * 3000, b"." * 50, b"= = =", b'"""', b"'''", b"\r",
    b"a." * 200 + b"b = 1\n", b"a = " + b"9" * 5000, b"a = 1979-13-45", b"seed = 1\nseed = 2\n",
    b"\x1b[31m", b"#\x07\n",
]  # fmt: skip


def options(registry: Registry) -> list[tuple[str, ...]]:
    """Every option of every component that the run has, as a path into the run file."""
    names = {"images", "none", "exact-scan", "http", "min-size", "similarity-threshold",
             "duplicates", "image-similarity", "text-similarity", "folder", "letters",
             "colours"}  # fmt: skip
    found: list[tuple[str, ...]] = [("seed",), ("engine", "batch_rows"), ("engine", "use")]
    found += [("dataset", name) for name in ("config", "pretty_name", "license", "contact")]
    for entry in registry.entries:
        if entry.cls.name in names:
            place = (entry.kind.table, entry.cls.name) if entry.kind.many else (entry.kind.table,)
            found += [(*place, option) for option in entry.cls.Config.model_fields]
    return found


def table_of(data: dict[str, Any], place: tuple[str, ...]) -> Any:
    """The table that holds an option; made, if there is none."""
    if len(place) == 1:
        return data
    found = data.setdefault(place[0], {})
    if len(place) == 3:
        entries = [entry for entry in found if isinstance(entry, dict)]
        found = next((entry for entry in entries if entry.get("use") == place[1]), {})
    return found


@st.composite
def run_files(
    draw: st.DrawFn, data: dict[str, JSON], places: list[tuple[str, ...]]
) -> tuple[bytes, bool]:
    """A run file's bytes, and whether it may only be planned."""
    data = deepcopy(data)
    if draw(st.booleans()):
        place = draw(st.sampled_from(places))
        table_of(data, place)[place[-1]] = draw(st.sampled_from(PLAUSIBLE))
        return tomli_w.dumps(data).encode(), place[-1] in WAITS
    waits = False
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["option"] * 6 + ["delete", "unknown", "table", "deep"]))
        place = draw(st.sampled_from(places))
        sound = isinstance(data.get(place[0]), list if len(place) == 3 else dict | None)
        table = table_of(data, place) if sound else {}
        waits |= kind == "option" and place[-1] in WAITS
        if kind == "option":
            table[place[-1]] = draw(VALUES)
        elif kind == "delete":
            table.pop(place[-1], None)
        elif kind == "unknown":
            table[draw(st.sampled_from(TEXTS) | st.text(max_size=8))] = draw(VALUES)
        elif kind == "table":
            data[draw(st.sampled_from([*RunConfig.model_fields, "x"]))] = draw(VALUES)
        else:
            nested: Any = 1
            for _ in range(draw(st.sampled_from([2, 29, 40, 200]))):
                nested = {"a": nested}
            table[place[-1]] = nested
    content = tomli_w.dumps(data).encode("utf-8", "replace")
    return (draw(mangled(content)) if draw(st.integers(0, 2)) == 0 else content), waits


@st.composite
def mangled(draw: st.DrawFn, content: bytes) -> bytes:
    """The file, cut, with something in it or around it, or in another encoding."""
    cut = draw(st.integers(0, len(content)))
    extra = draw(st.sampled_from(BYTES) | st.binary(max_size=5))
    text = content.decode()
    forms = [
        content[:cut], content[:cut] + extra + content[cut:], extra + content, content + extra,
        text.encode("utf-16"), text.encode("latin-1", "replace"), extra, b"",
    ]  # fmt: skip
    return draw(st.sampled_from(forms))


def called(*args: str) -> tuple[int, str, str]:
    """Call the command; return its exit code and what it said."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(args)
    return ended.value.code or 0, out.getvalue(), err.getvalue()  # type: ignore[return-value]


def try_one(content: bytes, waits: bool) -> str:
    """Plan a run file and, where it can be run, run it; return how that ended."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.toml").write_bytes(content)
        args = (str(folder / "run.toml"), "--out", str(folder / "out"))
        code, _, err = called("plan", *args)
        check_end(code, err)
        assert not (folder / "out").exists(), "plan wrote something"
        if code or waits:
            return "refused" if code else "planned"
        code, _, err = called("run", *args)
        check_end(code, err)
        if code:
            return "failed"
        (file,) = (folder / "out" / "dataset").glob("*/*.parquet")
        assert pq.read_table(file).num_rows >= 0
        return "ran"


def check_end(code: int, err: str) -> None:
    """An error is the last line, after what a run says of its progress."""
    assert "Traceback" not in err
    if code:
        assert code in (1, 2), err
        last = err.rstrip("\n").rpartition("\n")[2]
        assert err.count("laion-eo: ") == 1, err
        assert last.startswith("laion-eo: "), err
        said = last.removeprefix("laion-eo: ")
        assert one_line(said) == said
        assert len(last) < 5000


def fuzz(examples: int, data: dict[str, JSON], registry: Registry) -> Counter[str]:
    counts: Counter[str] = Counter()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(run_files(data, options(registry)))
    def each(made: tuple[bytes, bool]) -> None:
        counts[try_one(*made)] += 1

    each()
    return counts


@pytest.fixture
def with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    discover = Registry.discover
    monkeypatch.setattr(Registry, "discover", lambda *plugins: discover([colours]))


@pytest.mark.usefixtures("with_colours")
def test_run_files(run_data: dict[str, JSON], registry: Registry) -> None:
    counts = fuzz(15, run_data, registry)
    assert counts["refused"] > 2, counts


@pytest.mark.slow
@pytest.mark.usefixtures("with_colours")
def test_500_run_files(run_data: dict[str, JSON], registry: Registry) -> None:
    counts = fuzz(500, run_data, registry)
    assert counts["refused"] > 20, counts
    assert counts["ran"] > 20, counts


@pytest.mark.usefixtures("with_colours")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"seed = 1\n" + b"#" * 10_000_000 + b"\n", "'anchors' is missing"),
        (b"".join(b"k%d = 1\n" % n for n in range(50_000)), "and 49982 others"),
        (b"k" * 1_000_000 + b" = 1\n", "unknown key 'kkk"),
        (
            b'[anchors]\nuse = "' + b"k" * 1_000_000 + b'"\n[retriever]\nuse = "replay"\n',
            "no anchor-source",
        ),
        (b"seed = true\n", "'seed': a number was expected"),
        (b"seed = 9223372036854775808\n", "run.toml: seed: an integer of more than 64 bits"),
        (b'seed = "\\u0000"\n', "run.toml: seed: a NUL"),
        (b"a." * 40 + b"b = 1\n", "nested too deeply"),
    ],
    ids=["10 MB", "many keys", "long key", "long name", "bool", "integer", "NUL", "deep"],
)
def test_run_files_without_end(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    code, _, err = called("plan", str(file), "--out", str(tmp_path / "out"))
    check_end(code, err)
    assert code == 2
    assert says in err


def test_a_byte_order_mark_is_no_mistake(
    run_data: dict[str, JSON], with_colours: None, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(b"\xef\xbb\xbf" + tomli_w.dumps(run_data).encode())
    assert called("plan", str(file), "--out", str(tmp_path / "out"))[0] == 0
