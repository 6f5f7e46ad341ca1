"""Every hook of laion-eo: the complete plugin interface, on one page.

A plugin is a module named by an entry point. It implements any of these hooks::

    [project.entry-points.laion_eo]  # in pyproject.toml
    my-plugin = "my_plugin"

    # my_plugin.py
    from laion_eo.hookspecs import hookimpl

    @hookimpl
    def laion_eo_scorers():
        from my_plugin.brightness import Brightness
        return [Brightness]

Hooks with a plural name return classes; a run file chooses one of them by its ``name``.
Arguments are passed by name; an implementation may leave out those that it does not need.
"""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from laion_eo import kinds
    from laion_eo.types import JSON

PROJECT = "laion_eo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def laion_eo_anchor_sources() -> Sequence[type[kinds.AnchorSource]]:
    """Return classes of anchor sources.

    Example::

        class Beaches(AnchorSource):
            name = "beaches"
            summary = "pictures of beaches in one folder"

            def anchors(self):
                for path in sorted(Path("beaches").glob("*.png")):
                    pixels = np.moveaxis(np.asarray(Image.open(path).convert("RGB")), -1, 0)
                    yield Anchor(id=path.name, pixels=pixels, scale=255)
    """


@hookspec
def laion_eo_normalizers() -> Sequence[type[kinds.Normalizer]]:
    """Return classes of normalizers.

    Example::

        class Gamma(Normalizer):
            name = "gamma"
            summary = "square root of the reflectance"

            def normalize(self, anchors):
                return [
                    np.uint8(255 * np.sqrt(np.clip(a.pixels / a.scale, 0, 1))).transpose(1, 2, 0)
                    for a in anchors
                ]
    """


@hookspec
def laion_eo_augmenters() -> Sequence[type[kinds.Augmenter]]:
    """Return classes of augmenters.

    Example::

        class Mirror(Augmenter):
            name = "mirror"
            summary = "the image and its mirror image"

            def augment(self, image):
                return [image, image[:, ::-1]]
    """


@hookspec
def laion_eo_embedders() -> Sequence[type[kinds.Embedder]]:
    """Return classes of embedders.

    Example::

        class MyModel(Embedder):
            name = "my-model"
            summary = "a model of our own"
            model_id = "my-model-1"
            dim = 512

            def embed_images(self, images):
                return unit(our_model().images(images))

            def embed_texts(self, texts):
                return unit(our_model().texts(texts))
    """


@hookspec
def laion_eo_retrievers() -> Sequence[type[kinds.Retriever]]:
    """Return classes of retrievers.

    Example::

        class Ours(Retriever):
            name = "our-index"
            summary = "the vector store of our group"

            def search(self, queries, k):
                scores, ids = our_store.search(queries, k)
                return Neighbors(scores.astype("float32"), ids.astype("int64"))

            def lookup(self, ids):
                return our_store.metadata(ids, columns=["url", "caption"])
    """


@hookspec
def laion_eo_downloaders() -> Sequence[type[kinds.Downloader]]:
    """Return classes of downloaders.

    Example::

        class Archive(Downloader):
            name = "archive"
            summary = "images that we already have"

            def download(self, urls):
                for url in urls:
                    content = our_archive.get(url)
                    info = inspect_image(content)
                    digest = sha256(content).hexdigest()
                    yield Download(
                        url, DownloadStatus.OK, content=content, sha256=digest,
                        width=info.width, height=info.height, format=info.format,
                    )
    """


@hookspec
def laion_eo_scorers() -> Sequence[type[kinds.Scorer]]:
    """Return classes of scorers.

    Example::

        class Brightness(Scorer):
            name = "brightness"
            summary = "mean of the image, 0..1"
            columns = pa.schema([("brightness", pa.float32())])
            needs_images = True

            def score(self, batch):
                means = [image.mean() / 255 for image in batch.images]
                return pa.table({"brightness": pa.array(means, pa.float32())})
    """


@hookspec
def laion_eo_filters() -> Sequence[type[kinds.Filter]]:
    """Return classes of filters.

    Example::

        class NotDark(Filter):
            name = "not-dark"
            summary = "drops images darker than a tenth"

            def needs(self):
                return ("brightness",)

            def keep(self, batch):
                bright = batch["brightness"].to_numpy() >= 0.1
                return Verdict(bright, ["too dark"] * len(bright))
    """


@hookspec
def laion_eo_language_taggers() -> Sequence[type[kinds.LanguageTagger]]:
    """Return classes of language taggers.

    Example::

        class AllEnglish(LanguageTagger):
            name = "all-english"
            summary = "calls every caption English"

            def tag(self, texts):
                return LanguageTags(["en"] * len(texts), np.ones(len(texts), "float32"))
    """


@hookspec
def laion_eo_publishers() -> Sequence[type[kinds.Publisher]]:
    """Return classes of publishers.

    Example::

        class OurServer(Publisher):
            name = "our-server"
            summary = "copies the dataset to our server"

            def publish(self, release):
                return our_server.upload(release.paths())
    """


@hookspec
def laion_eo_before_run(stages: Sequence[str], manifest: dict[str, JSON]) -> None:
    """Called once before the first stage.

    Args:
        stages: Names of the stages, in order.
        manifest: The manifest so far; a plugin may add keys of its own.

    Example::

        @hookimpl
        def laion_eo_before_run(manifest):
            manifest["our_ticket"] = "EO-17"
    """


@hookspec
def laion_eo_after_batch(stage: str, done: int, total: int) -> None:
    """Called after each batch of a stage, for progress bars and the like.

    Args:
        stage: Name of the stage.
        done: Batches done, including those of an earlier run.
        total: Batches in all.

    Example::

        @hookimpl
        def laion_eo_after_batch(stage, done, total):
            our_dashboard.update(stage, done / total)
    """


@hookspec
def laion_eo_after_run(manifest: dict[str, JSON]) -> None:
    """Called once after the last stage.

    Args:
        manifest: The finished manifest.

    Example::

        @hookimpl
        def laion_eo_after_run(manifest):
            our_dashboard.finish(manifest["stages"]["dataset"]["counts"]["rows"])
    """


@hookspec
def laion_eo_on_error(stage: str, error: BaseException) -> None:
    """Called when a stage fails, before the error is raised to the caller.

    Args:
        stage: Name of the stage.
        error: The exception.

    Example::

        @hookimpl
        def laion_eo_on_error(stage, error):
            our_dashboard.alarm(f"{stage}: {error}")
    """


@hookspec
def laion_eo_card_sections(manifest: dict[str, JSON]) -> str | None:
    r"""Return a section for the dataset card in Markdown, or ``None``.

    Args:
        manifest: The manifest of the run that made the dataset.

    Example::

        @hookimpl
        def laion_eo_card_sections(manifest):
            return "## Our lab\n\nSupported by ..."
    """


@hookspec
def laion_eo_add_commands(cli: click.Group) -> None:
    """Add commands to ``laion-eo``.

    Args:
        cli: The command group.

    Example::

        @hookimpl
        def laion_eo_add_commands(cli):
            @cli.command()
            def greet():
                click.echo("hello")
    """
