from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from laion_eo.errors import DataError
from laion_eo.hub.pictures import check_picture, pictures_in
from laion_eo.testing.web import GREEN, picture

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'
DRAWN = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt">
 <metadata><rdf:RDF xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmlns:cc="http://creativecommons.org/ns#" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <cc:Work><dc:type rdf:resource="http://purl.org/dc/dcmitype/StillImage"/></cc:Work></rdf:RDF>
 </metadata>
 <defs><style type="text/css">*{stroke-linejoin: round} a {fill: url(#p)}</style>
  <clipPath id="c"><rect x="0" y="0" width="1" height="1"/></clipPath></defs>
 <g id="figure" clip-path="url(#c)" style="fill: #ffffff"><path d="M 0 0 L 1 1 z"/>
  <use xlink:href="#m"/><text>C:\\a 50 % onload=1</text>
  <image xlink:href="data:image/png;base64,iVBORw0KGgo=" width="1"/>
  <filter><feGaussianBlur/></filter></g>
</svg>"""
UNSAFE = [
    "<script>alert(1)</script>",
    '<script href="https://example.org/x.js"/>',
    '<g onload="alert(1)"/>',
    '<g OnClick="alert(1)"/>',
    '<a href="https://example.org"><path/></a>',
    '<a href="javascript:alert(1)"/>',
    "<foreignObject><p/></foreignObject>",
    '<p xmlns="http://www.w3.org/1999/xhtml"/>',
    '<image href="https://example.org/seen.png"/>',
    '<image xlink:href="file:///etc/passwd"/>',
    '<image href="data:image/svg+xml;base64,AAAA"/>',
    '<use href="other.svg#a"/>',
    '<rect fill="url(https://example.org/seen)"/>',
    "<rect style=\"fill: url( '//example.org/seen')\"/>",
    "<style>@import 'https://example.org/a.css';</style>",
    "<style>a { background: u\\72l(https://example.org) }</style>",
    "<style>a { background: url(</style><style>https://example.org) }</style>",
    '<style>a { background: image-set("https://example.org/a" 1x) }</style>',
    '<animate attributeName="href" to="javascript:alert(1)"/>',
    '<set attributeName="onload" to="alert(1)"/>',
    '<rect begin="javascript:alert(1)"/>',
]
ODD = [
    b"",
    b"TOKEN=1",
    b"<html/>",
    b'<p xmlns="http://www.w3.org/1999/xhtml"/>',
    b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
    b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
    b'<?xml-stylesheet href="https://example.org/a.css"?><svg/>',
    b"<svg/>TOKEN=1",
    b"\xff\xfe<svg/>",
]


def encoded(kind: str) -> bytes:
    stream = BytesIO()
    picture(1, GREEN, 50).save(stream, kind)
    return stream.getvalue()


KINDS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".PNG": "PNG"}


@pytest.mark.parametrize("ending", KINDS)
def test_a_picture_is_what_its_name_says_and_nothing_more(ending: str) -> None:
    content = encoded(KINDS[ending])
    assert check_picture(ending, content) is None
    assert check_picture(ending, content + b"TOKEN=1") == "something stands behind its end"
    assert check_picture(ending, content[: len(content) // 2]) is not None
    assert check_picture(ending, b"") is not None
    other = next(kind for kind in KINDS.values() if kind != KINDS[ending])
    assert check_picture(ending, encoded(other)) == f"not a {KINDS[ending]}, but a {other}"


def test_a_picture_of_too_many_pixels() -> None:
    stream = BytesIO()
    Image.new("1", (10_000, 6_000)).save(stream, "PNG")
    assert check_picture(".png", stream.getvalue()) == "not a PNG of up to 50,000,000 pixels"


@pytest.mark.parametrize("drawing", [DRAWN, SVG.format("<rect/>"), "<svg/>"])
def test_a_drawing_may_be_published(drawing: str) -> None:
    assert check_picture(".svg", drawing.encode()) is None


@pytest.mark.parametrize("inside", UNSAFE)
def test_a_drawing_that_does_more_than_draw(inside: str) -> None:
    fault = check_picture(".svg", SVG.format(inside).encode())
    assert fault is not None
    assert fault.startswith("an SVG with ")


@pytest.mark.parametrize("content", ODD)
def test_what_is_no_drawing(content: bytes) -> None:
    assert check_picture(".svg", content) is not None


def test_pictures_are_found_in_order_without_links(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/1.PNG", "a.svg", "b/index.html", "c.jpg.exe"):
        (tmp_path / name).touch()
    (tmp_path / "index.html").symlink_to("b/index.html")
    assert pictures_in(tmp_path) == (tmp_path / "a.svg", tmp_path / "b" / "1.PNG")
    assert pictures_in(tmp_path / "nothing") == ()
    (tmp_path / "b" / "2.png").symlink_to("1.PNG")
    with pytest.raises(DataError, match=r"b/2\.png: it is a link"):
        pictures_in(tmp_path)
