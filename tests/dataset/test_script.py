from __future__ import annotations

import ast
import re
import subprocess
import sys

from places import ROOT

from laion_eo.dataset.checkout import card
from laion_eo.dataset.script import script


def test_script_in_hf_dataset_is_the_builder() -> None:
    assert (ROOT / "hf_dataset" / "laion_eo.py").read_text("utf-8") == script()


def test_cards_of_the_bare_name_are_up_to_date() -> None:
    for folder in ("hf_dataset/laion_eo", "laion_eo"):
        assert (ROOT / folder / "README.md").read_text("utf-8") == card()


def test_template_in_hf_dataset_is_the_one_that_is_used() -> None:
    template = ROOT / "hf_dataset" / "card.md.j2"
    assert template.samefile(ROOT / "laion_eo" / "dataset" / "card.md.j2")


def test_script_stands_alone() -> None:
    source = script()
    modules = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "datasets" in modules
    assert not any(name.startswith("laion_eo") for name in modules)
    # datasets 3 reads the imports line by line.
    assert not re.search(r"^import .*,", source, re.MULTILINE)
    code = f"import sys; sys.modules['laion_eo'] = None; exec({source!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
