from __future__ import annotations

import pytest

from laion_eo.errors import ConfigError
from laion_eo.overrides import apply_override, parse_value
from laion_eo.types import JSON


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", 1.5), ("true", True), ("[1, 2]", [1, 2]), ("tiny", "tiny"), ('"1"', "1")],
)
def test_override_values_are_toml_or_text(text: str, value: JSON) -> None:
    assert parse_value(text) == value


def test_overrides_reach_every_depth() -> None:
    data: dict[str, JSON] = {"filters": [{"use": "min-size"}, {"use": "duplicates"}]}
    apply_override(data, "retriever.k=100")
    apply_override(data, "filters.min-size.width=128")
    apply_override(data, "filters.1.by=['url']")
    assert data == {
        "retriever": {"k": 100},
        "filters": [{"use": "min-size", "width": 128}, {"use": "duplicates", "by": ["url"]}],
    }


@pytest.mark.parametrize(
    "override",
    ["retriever.k", "=1", "a..b=1", "seed.x=1", "filters.no-such.width=1", "filters.9.x=1"],
)
def test_malformed_overrides_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        apply_override({"seed": 1, "filters": [{"use": "min-size"}]}, override)
