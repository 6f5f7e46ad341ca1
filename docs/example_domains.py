"""The domains of ``examples/``, whose run files are as ``laion-eo init`` writes them."""

from __future__ import annotations

from dataclasses import replace

from laion_eo.scaffold.domain import slug
from laion_eo.scaffold.inspection import Normalization
from laion_eo.scaffold.run_file import Domain, render

PARKING = (
    "a parking lot from above",
    "an aerial view of a parking lot full of cars",
    "rows of parked cars seen from the air",
    "parking from space",
    "a satellite image of a parking lot",
    "a car park beside a supermarket, aerial photo",
    "many small cars in rows, top view",
    "an overhead view of an open-air car park",
    "parking spaces with white lines from above",
    "a drone picture of a parking lot",
    "cars parked in a lot, bird's eye view",
    "an aerial photo of a crowded parking lot",
    "a half empty parking lot from the air",
    "a parking lot near a stadium, seen from above",
    "asphalt with parked vehicles, satellite view",
    "a large parking area, remote sensing image",
    "vehicles parked side by side, aerial image",
    "an airport car park from above",
    "parking lot, orthophoto",
    "top-down picture of parked cars",
)


def _domain(name: str, title: str, prompt: str) -> Domain:
    """Return a domain whose anchors are pictures in ``examples/data``, in a pool of ``tiny``."""
    return Domain(
        file=f"examples/{name}.toml",
        title=title,
        config=name,
        tags=(slug(title),),
        license="cc-by-4.0",
        prompt=prompt,
        anchors={"use": "images", "root": f"data/{name}"},
        normalization=Normalization("none", "the anchors are pictures already"),
        min_size=128,
        embedder={"use": "tiny"},
        pool="../pools/miniweb",
        pool_at="pools/miniweb",
        on_disk=True,
    )


def _with_texts(domain: Domain, texts: tuple[str, ...]) -> Domain:
    """Return the domain with texts that the pool is searched with beside the pictures."""
    return replace(domain, anchors={**domain.anchors, "texts": list(texts)})


DOMAINS = {
    "dogs": _domain("dogs", "Dogs", "a photo of a dog"),
    "clip-art": _domain("clip-art", "Clip art", "clip art on a white background"),
    "rivers": _domain("rivers", "Rivers from above", "an aerial view of a river"),
    "parking": _with_texts(
        _domain("parking", "Parking lots from above", "a parking lot from above"), PARKING
    ),
}


def example(name: str) -> str:
    """Return the run file of a domain."""
    return render(DOMAINS[name])
