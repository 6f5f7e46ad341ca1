from __future__ import annotations

from pathlib import Path

import pytest

import laion_eo
from laion_eo.cli.export import command
from laion_eo.errors import ConfigError
from laion_eo.integrity.export import FORMATS, export


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no format 'rocrate'. Did you mean 'ro-crate'"):
        export(tmp_path, "rocrate", tmp_path / "out")


def test_it_is_the_call_of_the_command() -> None:
    assert laion_eo.export is export
    (choice,) = [option.type for option in command.params if option.name == "to"]
    assert list(choice.choices) == list(FORMATS)  # type: ignore[attr-defined]
