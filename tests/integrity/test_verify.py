from __future__ import annotations

from pathlib import Path

import pytest
from integrity.alterations import OF_A_DATASET, OF_A_RUN, RESEALED, Alteration
from integrity.conftest import Rerun

from laion_eo import verify
from laion_eo.errors import LaionEOError

EVERY = 10
"""Of so many alterations, one is run again by default."""


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def name(alteration: Alteration) -> str:
    return alteration.name.replace("/", "-")


@pytest.mark.parametrize("alteration", [*OF_A_RUN, *RESEALED], ids=name)
def test_an_altered_run_is_found(alteration: Alteration, altered: Path) -> None:
    alteration.alter(altered)
    found = verify(altered)
    assert not found.is_sound
    assert any(where in fault.where for fault in found.faults for where in alteration.where), (
        found.faults
    )


@pytest.mark.parametrize("alteration", OF_A_DATASET, ids=name)
def test_an_altered_dataset_is_found(alteration: Alteration, altered: Path) -> None:
    alteration.alter(altered)
    found = verify(altered / "dataset")
    assert found.kind == "dataset"
    names = [where.removeprefix("dataset/") for where in alteration.where]
    assert any(where in fault.where for fault in found.faults for where in names), found.faults


def test_there_are_many_alterations() -> None:
    names = {one.name for one in (*OF_A_RUN, *RESEALED, *OF_A_DATASET)}
    assert len(OF_A_RUN) > 100
    assert len(names) > 180


def run_again(alteration: Alteration, altered: Path, undisturbed: Path, rerun: Rerun) -> None:
    """Alter a run and run it again: it ends as it was, or refuses by name in one line."""
    wanted = files(undisturbed / "dataset")
    alteration.alter(altered)
    try:
        rerun(altered)
    except (LaionEOError, OSError) as error:
        line = str(error)  # as the command says it
        assert "\n" not in line
        assert any(Path(where).name in line for where in alteration.where), line
        return
    assert files(altered / "dataset") == wanted
    if not alteration.stays:
        assert verify(altered).faults == ()


@pytest.mark.parametrize("alteration", OF_A_RUN[::EVERY], ids=name)
def test_an_altered_run_is_mended_or_refused(
    alteration: Alteration, altered: Path, tiny_run: Path, rerun: Rerun
) -> None:
    run_again(alteration, altered, tiny_run, rerun)


@pytest.mark.slow
@pytest.mark.parametrize(
    "alteration", [one for place, one in enumerate(OF_A_RUN) if place % EVERY], ids=name
)
def test_any_other_altered_run_is_mended_or_refused(
    alteration: Alteration, altered: Path, tiny_run: Path, rerun: Rerun
) -> None:
    run_again(alteration, altered, tiny_run, rerun)
