from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.hub_state import Fault, LoopbackHub
from processes import python

from laion_eo.builtin.torch_models import brief, hub_folder, pick_device, state_sha256
from laion_eo.errors import ConfigError


@pytest.mark.parametrize("status", [0, 404, 503])
def test_a_hub_that_gives_no_files_is_asked_once(hub: LoopbackHub, status: int) -> None:
    hub.faults.append(Fault("GET", "models/org/none", status, 99, {"X-Error-Code": "RepoNotFound"}))
    with pytest.raises(ConfigError, match="^org/none is unavailable from the Hub: ") as caught:
        hub_folder("org/none", ["*"])
    assert "\n" not in str(caught.value)
    assert hub.token not in str(caught.value)
    assert len(hub.requests) == (1 if status else 0)  # a request without an answer is not listed
    assert hub.faults[0].times == 98


AWAY = """
from laion_eo.builtin.torch_models import hub_folder
from laion_eo.errors import ConfigError
try:
    hub_folder("org/model", ["*"])
except ConfigError as error:
    print(error)
"""


def test_a_hub_that_does_not_answer(tmp_path: Path) -> None:
    away = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_secret"}
    done = python(AWAY, away)
    assert done.stdout.startswith("org/model is unavailable from the Hub: ")
    assert done.stdout.count("\n") == 1
    assert "hf_secret" not in done.stdout
    assert done.stderr == ""  # no retries, no tracebacks


def test_a_device_that_is_not_there() -> None:
    torch = pytest.importorskip("torch")
    assert pick_device("cpu", "x") == "cpu"
    assert pick_device("auto", "x") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(
        ConfigError, match=r"^x: device = 'warp' is unavailable here: .* takes what"
    ):
        pick_device("warp", "x")


def test_the_hash_of_weights_depends_on_values_and_names_only() -> None:
    torch = pytest.importorskip("torch")

    def model(**weights: list[float]) -> Any:
        made = torch.nn.Module()
        for name, values in weights.items():
            made.register_buffer(name, torch.tensor(values))
        return made

    hashes = [
        state_sha256(made)
        for made in (
            model(a=[0.5, 2.0], b=[1.0]),
            model(b=[1.0], a=[0.5, 2.0]),
            model(a=[0.5, 2.0], b=[1.0]).half(),  # exact in float16
            model(a=[0.5, 2.5], b=[1.0]),
            model(a=[0.5, 2.0], c=[1.0]),
        )
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such thing. See the manual.\nMore."), "ValueError: no such thing."),
        (OSError(" one line: \n"), "OSError: one line."),
        (RuntimeError(), "RuntimeError."),
    ],
)
def test_an_error_in_brief(error: Exception, said: str) -> None:
    assert brief(error) == said
