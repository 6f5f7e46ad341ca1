"""``laion-eo run``."""

from __future__ import annotations

from pathlib import Path

import click

from laion_eo.cli.input.options import out_option, run_directory, set_option


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@out_option
@set_option
@click.option(
    "--verify",
    is_flag=True,
    help="Hash all of what is taken over, however large; by default only samples of what is large.",
)
@click.option(
    "--reuse",
    multiple=True,
    metavar="RUN",
    type=click.Path(path_type=Path, file_okay=False),
    help="Take over the embeddings of another run directory for the same images. Can be repeated.",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Let what a labels.csv teaches take the place of the fitted thresholds; see `laion-eo "
    "evaluate --plan`.",
)
def command(
    run_file: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    verify: bool,
    reuse: tuple[Path, ...],
    labels: Path | None,
) -> None:
    """Run, or resume, the extraction that RUN_FILE describes.

    Each stage leaves its table in the run directory, named by a fingerprint of its options and
    inputs. What is there already is not done again: a stopped run resumes where it was, and a
    changed threshold runs the filters again and nothing above them.

    The dataset is DIR/dataset; every number of the run is in DIR/manifest.json.

    \b
      laion-eo run examples/ver-0.toml --out runs/ver-0
      laion-eo run examples/ver-0.toml --out runs/ver-0 --set filters.similarity-threshold.sigma=2
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.cli.input.contact import with_contact
    from laion_eo.cli.output.console import output_console
    from laion_eo.cli.output.progress import reporting
    from laion_eo.cli.output.summary import print_run
    from laion_eo.pipeline import RunResult, run
    from laion_eo.registry import Registry

    registry = Registry.discover()

    def work() -> RunResult:
        with reporting(registry):
            folder = run_directory(run_file, out)
            return run(
                run_file, folder, overrides, registry, verify=verify, reuse=reuse, labels=labels
            )

    print_run(with_contact(work), output_console())
