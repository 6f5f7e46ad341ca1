"""Fixtures beside those of the kit: real data, finished runs, the loopback Hub."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fakes.hub import loopback_hub
from fakes.hub_state import LoopbackHub
from hypothesis import settings
from made import MakeRun, client_env, made_rows, with_urls, write_manifest

from laion_eo.config import DatasetOptions
from laion_eo.dataset.card import render_card
from laion_eo.dataset.tree import write_tree
from laion_eo.pipeline import RunResult, run
from laion_eo.redaction import forget
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.testing.web import small_run

pytest_plugins = ["laion_eo.testing.fixtures", "small_runs"]

# The same examples on every run and machine, and no test that fails for being slow.
settings.register_profile("suite", derandomize=True, max_examples=25, deadline=None)
settings.load_profile("suite")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(
            "no ../shared here: this test measures real data that the project does not ship"
        )
    return SHARED


@pytest.fixture(scope="session")
def finished_run(anchors: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A whole run over the small web; leave it as it is."""
    registry = Registry.discover([colours])
    return run(small_run(anchors, pool), tmp_path_factory.mktemp("finished") / "run", (), registry)


@pytest.fixture
def make_run(finished_run: RunResult, tmp_path: Path) -> MakeRun:
    """Make run directories that differ in what they release, quickly."""

    def make(
        config: str = "ver-0", rows: int = 20, name: str = "", urls: Mapping[int, str] | None = None
    ) -> Path:
        folder = tmp_path / (name or f"run-{config}-{rows}")
        options = DatasetOptions(config=config)
        table = with_urls(made_rows(rows), urls or {})
        card = partial(render_card, options, table, finished_run.manifest, [])
        files = write_tree(folder / "dataset", config, table, card)
        write_manifest(folder, finished_run, config, files)
        return folder

    return make


@pytest.fixture(autouse=True)
def _no_secrets_of_others() -> Iterator[None]:
    """Forget what the last test took from the environment: another may use the same words."""
    yield
    forget()


_HUB = pytest.StashKey[LoopbackHub]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the loopback Hub: its clients read the environment when they are imported."""
    assert "huggingface_hub" not in sys.modules, "a conftest imports it too early"
    stack = ExitStack()
    home = stack.enter_context(TemporaryDirectory())
    config.stash[_HUB] = stack.enter_context(loopback_hub())
    os.environ.update(client_env(config.stash[_HUB], Path(home)))
    # Nothing of whoever runs the tests: their contact would go to servers, and be asked for.
    os.environ.pop("LAION_EO_CONTACT", None)
    os.environ["XDG_CONFIG_HOME"] = str(Path(home) / "config")
    config.add_cleanup(stack.close)


@pytest.fixture
def hub(pytestconfig: pytest.Config) -> Iterator[LoopbackHub]:
    """An empty Hub on loopback, spoken to by the real clients of this process."""
    server = pytestconfig.stash[_HUB]
    server.reset()
    yield server
    assert server.complaints == []
