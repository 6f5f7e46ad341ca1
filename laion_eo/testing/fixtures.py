"""Fixtures for the tests of plugins, as a pytest plugin.

An author turns it on in ``conftest.py``::

    pytest_plugins = ["laion_eo.testing.fixtures"]

It is no entry point, because that would load laion-eo in every pytest run of the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from laion_eo.component import Component, Context
from laion_eo.testing import colours, serve_folder
from laion_eo.testing.network import blocked
from laion_eo.testing.web import small_run, write_anchors, write_web
from laion_eo.types import JSON

if TYPE_CHECKING:
    from laion_eo.registry import Registry

# So that the suites' assertions say what they compared. It must come before their import.
pytest.register_assert_rewrite("laion_eo.testing.suites")


@pytest.fixture
def registry() -> Registry:
    """A fresh :class:`~laion_eo.registry.Registry`: the installed plugins, and ``colours``."""
    from laion_eo.registry import Registry

    return Registry.discover([colours])


@pytest.fixture
def run_context(tmp_path: Path) -> Context:
    """What a run tells its components: a work folder of its own, seed 0."""
    return Context(work_dir=tmp_path)


@pytest.fixture
def blocked_network() -> Iterator[None]:
    """Refuse connections that leave this machine."""
    with blocked():
        yield


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 52 small pictures: 30 green, 20 red, a thumbnail and a copy, with captions."""
    return write_web(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def web_url(web: Path) -> Iterator[str]:
    """The image server: the folder ``web`` on loopback; its URL ends in a slash."""
    with serve_folder(web) as url:
        yield url


@pytest.fixture(scope="session")
def pool(web: Path, web_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of ``web``, indexed with ``colours``: a pool that exact-scan searches."""
    from laion_eo.pools import index
    from laion_eo.registry import Registry

    folder = tmp_path_factory.mktemp("pool")
    index(web, folder, {"use": "colours"}, web_url, Registry.discover([colours]))
    return folder


@pytest.fixture(scope="session")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four green pictures."""
    return write_anchors(tmp_path_factory.mktemp("anchors"))


@pytest.fixture
def run_data(anchors: Path, pool: Path) -> dict[str, JSON]:
    """A run file over ``anchors`` and ``pool`` that needs no extra; change what you test."""
    return small_run(anchors, pool)


@pytest.fixture(scope="class")
def component(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Component]:
    """The suite's component, built from its options and set up once for the class."""
    from laion_eo.testing.suites.base import ComponentTests

    suite = request.cls
    assert isinstance(suite, type), "the fixture `component` is for subclasses of the suites"
    assert issubclass(suite, ComponentTests)
    folder = tmp_path_factory.mktemp("component")
    with blocked():
        made = suite.build(suite.make_options(folder), Context(work_dir=folder))
        made.setup()
        yield made
        made.close()
