from __future__ import annotations

import json
import tomllib
from copy import deepcopy

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

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
    [
        "retriever.k",
        "=1",
        "a..b=1",
        "seed.x=1",
        "filters.no-such.width=1",
        "filters.9.x=1",
        "filters.9=1",
        "filters.².x=1",
        f"filters.{'1' * 5000}=1",
        "seed\n.x.y=1",
        "seed=\udcff",
    ],
)
def test_malformed_overrides_are_refused(override: str) -> None:
    data = deepcopy(DATA)
    with pytest.raises(ConfigError, match="--set") as caught:
        apply_override(data, override)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 5000, "1\nother = 2", "1\n[table]", "{a=1", ""])
def test_what_is_not_one_toml_value_is_text(text: str) -> None:
    assert parse_value(text) == text


PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(),
    st.dates(),
)  # fmt: skip
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
DATA: dict[str, JSON] = {"seed": 1, "filters": [{"use": "min-size"}], "retriever": {"k": 5}}
KEYS = st.one_of(
    st.sampled_from(["seed", "filters", "retriever", "k", "use", "min-size", "0", "1", "-1", "²"]),
    st.text(max_size=4),
)


@given(VALUES)
def test_a_toml_value_is_read_as_it_was_written(value: JSON) -> None:
    written = tomli_w.dumps({"value": value}).strip().removeprefix("value = ")
    assert parse_value(written) == tomllib.loads(f"value = {written}")["value"] == value


@given(st.lists(KEYS, max_size=4), st.text(st.characters()) | st.text("[{=\"'#0123 \n,}]._eE"))
def test_any_override_is_set_or_refused_in_one_line(keys: list[str], text: str) -> None:
    data = deepcopy(DATA)
    override = f"{'.'.join(keys)}={text}"
    try:
        apply_override(data, override)
    except ConfigError as error:
        assert str(error).startswith(f"--set {override!r}: ")
        assert "\n" not in str(error)
        return
    # As it was written: the left part ends at the first equals sign.
    dotted, _, value = override.partition("=")
    node: JSON = data
    for key in map(str.strip, dotted.split(".")):
        node = _entry(node, key)
    assert repr(node) == repr(parse_value(value))  # repr: NaN is not equal to itself
    assert json.dumps(data, default=str)


def _entry(node: JSON, key: str) -> JSON:
    if isinstance(node, list):
        return node[int(key)] if key.isdecimal() else next(e for e in node if e["use"] == key)
    return node[key]
