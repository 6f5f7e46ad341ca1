"""``laion-eo index``."""

from __future__ import annotations

from pathlib import Path

import click

from laion_eo.types import JSON


@click.command()
@click.argument("pool", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the new pool: a new or empty one, or that of an earlier index.",
)
@click.option(
    "--embedder", "use", default="open-clip", show_default=True, help="The model; see `plugins`."
)
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the embedder, --set model=ViT-B-32-quickgelu, or of the downloader that "
    "fetches URLs, --set downloader.retries=5. Can be repeated.",
)
@click.option(
    "--url-prefix",
    metavar="URL",
    help="Address under which the images are served: their paths below POOL are appended. "
    "Without it, runs read them from this disk (downloader.allow_files = true).",
)
@click.option(
    "--faiss", is_flag=True, help="Also build a FAISS index, of a type that suits the pool's size."
)
def command(
    pool: Path, out: Path, use: str, options: tuple[str, ...], url_prefix: str | None, faiss: bool
) -> None:
    """Embed the images of POOL into a pool that `exact-scan` can search.

    POOL is a folder of images, a folder of webdataset tars, or a parquet file (or a folder of
    them) with a column of URLs, which are downloaded. In a folder of images, captions come from
    metadata.csv, metadata.parquet or pairs.csv in the folder (columns `file` or `file_name`, and
    `caption` or `text`), or from a text file beside each image. Images that cannot be read are
    skipped and listed. The layout is clip-retrieval's: img_emb/*.npy and metadata/*.parquet.

    A stopped index resumes when the same command is given again, and loses at most 256 images or a
    minute. On a finished pool the same command makes again what is damaged, and what was made from
    images, captions or URLs that have changed.

    \b
      laion-eo index photos --out pools/photos --embedder tiny
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.cli.input.contact import with_contact
    from laion_eo.cli.output.progress import reporting
    from laion_eo.overrides import apply_override
    from laion_eo.pools import IndexResult, index
    from laion_eo.pools.faiss_build import build_faiss, require_faiss
    from laion_eo.registry import Registry

    if faiss:
        require_faiss()  # before the hours that embedding may take
    tables: dict[str, JSON] = {"embedder": {"use": use}, "downloader": {"use": "http"}}
    for option in options:
        of_a_table = option.partition(".")[0] in tables
        apply_override(tables if of_a_table else tables["embedder"], option)
    registry = Registry.discover()
    embedder, downloader = tables["embedder"], tables["downloader"]

    def work() -> IndexResult:
        with reporting(registry):
            return index(pool, out, embedder, url_prefix, registry, downloader=downloader)

    result = with_contact(work)
    click.echo(f"{result.folder}: {result.rows:,} images embedded with {result.model_id}.")
    if result.skipped:
        click.echo(
            f"{result.skipped:,} could not be read; {result.folder / 'skipped'} lists the reasons."
        )
    if faiss:
        click.echo(f"image.index: {build_faiss(result.folder)}")
        click.echo(f'In a run file: [retriever] use = "faiss", index = "{result.folder}"')
    click.echo(f'In a run file: [retriever] use = "exact-scan", pool = "{result.folder}"')
