from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laion_eo.kinds.noise import is_noise, without_addresses
from laion_eo.testing.strategies import captions

NOISE = [
    *("", " \n", "🛰🌍", "--- 12.5 %", "…"),
    *("IMG_2034.jpg", "DSC00012", "P1010023.JPG (2)", "20180512_123456", "100_0123 copy.jpg"),
    *("WhatsApp Image 2020-01-01 at 12.00.00.jpeg", "Screenshot 2021-03-04 at 10.11.12.png"),
    *("Снимок экрана 2019-03-04 в 10.11.12", "スクリーンショット 2019-03-04 10.11.12.png"),
    *("sunset-over-the-lake.jpg", "thumb_12_300x200", "wp-image-1024x683", "image (3)", "Bild 4"),
    *("shutterstock_12345678", "pexels-photo-417074.jpeg", "photo-1502602898657-3e61760cbb60"),
    *("https://example.org/a/b.jpg", "www.example.org", "me@example.org", "@someone", "flickr.com"),
    *("C:\\pictures\\x", "/var/www/pictures/x", "index.php?id=a"),
    *("48.8566° N, 2.3522° E", "48°51′24″N", "-33.85, 151.21", "lat 3.1 lon 4.2"),
    *("1920 x 1080 px", "10×15 cm", "300 dpi", "2019-07-31", "12 March 2018", "2019年3月4日"),
    *("d41d8cd98f00b204e9800998ecf8427e", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "kXqWzpLm"),
    *("A", "x y z", "Ω", "USA", "MGT 287", "xxxxxxxx", "qwrtzp"),
    *("OLYMPUS DIGITAL CAMERA", "Canon EOS 5D Mark III", "NIKON D3200", "iPhone 6"),
    *("&nbsp;", "<br><img src='a.jpg'>", "图片1.png", "사진 (3)", "写真2"),
]
CAPTIONS = [
    *(
        "Paris",
        "ферма",
        "農地",
        "水",
        "산",
        "घी",
        "At.",
        "Ei",
        "rhythm",
        "PARIS",
        "T-shirt",
        "L'été",
    ),
    *("Photo", "A picture of 3 dogs", "Berlin, 2018", "RED CAR", "Route 66 at night"),
    *("A satellite image of Paris.jpg", "Sunset lake.jpg", "農地.jpg", "東京タワーの夜景2019.jpg"),
    *(
        "see https://example.org",
        "東京タワーhttps://example.org/a",
        "Tom &amp; Jerry",
        "<b>river</b>",
    ),
    *("哨兵2号拍摄的东京湾", "iPhone 13 ケース", "เลข 6 ในภาษามือ", "می‌خواهم", "한강 大橋 야경 2"),
    *("Sentinel-2 image of Rome, 2018-05-06 10:11:12", "OpenStreetMap", "Buenos Aires @ night"),
]


@pytest.mark.parametrize("text", NOISE)
def test_noise_is_in_no_language(text: str) -> None:
    assert is_noise(text)


@pytest.mark.parametrize("text", CAPTIONS)
def test_a_word_is_enough(text: str) -> None:
    assert not is_noise(text)


@given(captions(surrogates=True))
def test_a_sentence_beside_anything_is_no_noise(text: str) -> None:
    assert isinstance(is_noise(text), bool)
    assert not is_noise(f"an old harbour with boats seen from above {text}")


@given(st.integers(0, 10**12), st.sampled_from(["", ".jpg", ".PNG", " (2).webp", "_o.jpeg"]))
def test_numbered_names_are_noise_whatever_the_number(number: int, ending: str) -> None:
    assert is_noise(f"img_{number}{ending}")
    assert is_noise(f"{number:x}{number}{ending}")


@pytest.mark.parametrize(
    "hostile", ["<a", "a.", "a-", "@", "1_", "http://", "(", "\\", "20200101 "]
)
def test_long_hostile_texts_come_to_an_end(hostile: str) -> None:
    is_noise(hostile * 50_000)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A farm &amp; a river<br>from above", "A farm & a river from above"),
        ("see  https://example.org/x.jpg or mail me@example.org now", "see or mail now"),
        ("harbour.jpg", ""),
        ("Hafen IMG_1.jpg im Winter", "Hafen im Winter"),
        ("農地.jpg", "農地"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("e.g. this. And that.", "e.g. this. And that."),
    ],
)
def test_what_is_left_without_addresses(text: str, left: str) -> None:
    assert without_addresses(text) == left
