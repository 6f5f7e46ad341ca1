"""Accuracy and speed of the tagger ``fasttext`` against other offline taggers, on real captions.

    python benchmarks/language_taggers.py [XTD10.csv]

The peers, py3langid and lingua, are installed into an environment of their own, kept between runs.
Every tagger runs on one thread. The last line is JSON: ``ratio`` is our accuracy over the best
peer's.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CAPTIONS = Path(__file__).resolve().parents[2] / "shared" / "captions" / "xtd10.csv"
CODES = {"jp": "ja", "kr": "ko"}  # XTD10 names these two by their countries
PEERS = {"py3langid": "py3langid>=0.3", "lingua": "lingua-language-detector>=2.0"}
Tagger = Callable[[list[str]], list[str | None]]


def read(path: Path) -> tuple[list[str], list[str]]:
    """Return the captions and their true languages."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    codes = [CODES.get(row["language"], row["language"]) for row in rows]
    return [" ".join(row["caption"].split()) for row in rows], codes


def ours() -> Tagger:
    """Return laion-eo's ``fasttext``, loaded."""
    from laion_eo.builtin.language_taggers.fasttext import FastText
    from laion_eo.component import Context

    tagger = FastText(FastText.Config(), Context())
    tagger.setup()
    return lambda texts: list(tagger.tag(texts).codes)


def py3langid() -> Tagger:
    """Return py3langid, loaded."""
    import py3langid

    py3langid.classify("text")
    return lambda texts: [py3langid.classify(text)[0] for text in texts]


def lingua() -> Tagger:
    """Return lingua with all its languages, loaded."""
    from lingua import LanguageDetectorBuilder

    builder: Any = LanguageDetectorBuilder.from_all_languages()
    detector = builder.with_preloaded_language_models().build()

    def tag(texts: Iterable[str]) -> list[str | None]:
        found = map(detector.detect_language_of, texts)
        return [language and language.iso_code_639_1.name.lower() for language in found]

    return tag


TAGGERS: dict[str, Callable[[], Tagger]] = {"ours": ours, "py3langid": py3langid, "lingua": lingua}


def measure(name: str, path: Path) -> dict[str, Any]:
    """Return accuracy, captions a second and the accuracy for each language."""
    texts, truth = read(path)
    tagger = TAGGERS[name]()
    start = time.perf_counter()
    codes = tagger(texts)
    seconds = time.perf_counter() - start
    pairs = list(zip(truth, codes, strict=True))
    right, total = Counter(true for true, code in pairs if true == code), Counter(truth)
    return {
        "accuracy": round(right.total() / len(texts), 4),
        "per_second": round(len(texts) / seconds),
        "languages": {code: round(right[code] / total[code], 3) for code in sorted(total)},
    }


def peers_python() -> str:
    """Return the Python of the peers' environment, which is made if it does not exist."""
    folder = Path(tempfile.gettempdir()) / f"laion-eo-language-peers-{os.getuid()}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PEERS.values()]
        subprocess.run(install, check=True)
        done.touch()
    return str(python)


def measure_apart(name: str, python: str, path: Path) -> dict[str, Any]:
    """Measure a tagger in a process of its own, on one thread."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    done = subprocess.run(
        [python, __file__, str(path), "--measure", name],
        env={**os.environ, **one_thread},
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(path: Path = CAPTIONS) -> None:
    """Measure all taggers and print the comparison."""
    pythons = dict.fromkeys(PEERS, peers_python())
    found = {name: measure_apart(name, pythons.get(name, sys.executable), path) for name in TAGGERS}
    for name, result in found.items():
        print(f"{name:10} {result['accuracy']:.4f} {result['per_second']:>8,}/s")
        print("          ", " ".join(f"{k} {v:.3f}" for k, v in result["languages"].items()))
    reference = max(found[name]["accuracy"] for name in PEERS)
    mine = found["ours"]["accuracy"]
    summary = {
        "name": "language_taggers",
        "ours": mine,
        "reference": reference,
        "ratio": round(mine / reference, 4),
        "unit": "accuracy on XTD10, 11 languages",
        "detail": found,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(json.dumps(measure(sys.argv[3], Path(sys.argv[1]))))
    else:
        main(*map(Path, sys.argv[1:2]))
