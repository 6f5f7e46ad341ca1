"""Which captions are noise: file names, addresses, numbers and codes, which are in no language.

A caption is noise if no *word* is left in it, after these are taken out:

1. markup, addresses (of pages, of mail, ``@names``, paths), and file names up to the blank before;
2. numbers, single letters, and what mixes letters with digits or ``_``: sizes, dates, coordinates,
   hashes, model numbers;
3. letters that are no word: one letter repeated; five or more Latin ones without a vowel; capitals
   and small letters in turn;
4. what cameras, programs and image banks write: :data:`NEVER_WORDS`, and :data:`BESIDE_NUMBERS`
   where the caption has something of 1 to 3 or of :data:`NEVER_WORDS` as well. "Photo" is a word,
   "photo 3" and "Olympus digital camera" are noise.

Up to three Latin capitals are noise, too, alone or beside numbers, as on number plates.

In scripts without blanks between words (Chinese, Japanese, Thai ...) and in Korean, letters are
words beside digits, too; one Chinese character is enough; and of a file's name only the ending is
taken out.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

_NEVER = """
img dsc dscn dscf pict mvimg pxl dcim gopr cimg imgp hpim sdc fbimg exif wp fullsizerender
jpeg jpg jpe jfif png gif tif tiff bmp webp svg heic psd pdf
px dpi ppi kb mb gb mp mm cm km км см мм utc gmt http https www url
nikon coolpix eos powershot ixus olympus fujifilm finepix lumix pentax minolta casio exilim
gopro samsung huawei xiaomi kodak leica sony iphone ipad whatsapp vsco
unsplash pexels pixabay shutterstock istock istockphoto adobestock fotolia depositphotos
dreamstime alamy gettyimages
"""
_BESIDE_THEM = """
image images photo photos picture pictures pic foto imagen imagem immagine bild figure fig slide
screenshot screen shot snapshot bildschirmfoto um capture d écran captura de pantalla ecrã tela
schermata alle ore schermafbeelding om skärmavbild kl zrzut ekranu снимок экрана ekran resmi
scan file raw copy copie copia kopie kopia копия of from
final edit edited crop cropped scaled resized rotated large medium small full hd uhd thumb artboard
thumbnail untitled unnamed download upload default stock preview banner header logo icon avatar
background wallpaper gallery received messenger facebook instagram flickr getty
canon camera digital still hero mark dji mavic phantom panasonic ricoh
pm am at size page lat lon lng
january february march april may june july august september october november december
jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
图片 照片 截图 屏幕截图 屏幕快照 微信图片 未命名 未标题 圖片 截圖 年 月 日 时 時 分 秒 号
画像 写真 スクリーンショット 無題 사진 이미지 스크린샷 캡처 무제 년 월 일 시 분 초 รูปภาพ รูป
"""
NEVER_WORDS = frozenset(_NEVER.split())
"""What cameras, programs and image banks write, and what is no word of a language."""
BESIDE_NUMBERS = frozenset(_BESIDE_THEM.split())
"""Words that say nothing where only numbers, codes or :data:`NEVER_WORDS` stand beside them."""

_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]{0,500}>")
_URL = re.compile(r"(?:https?|ftp)://\S*", re.IGNORECASE)
_DOMAINS = "com|net|org|info|edu|gov|co|io|de|fr|it|ru|uk|nl|pl|es|eu|jp|cn|br|us|ca|au|ch|at|tv"
_ADDRESS = re.compile(
    r"www\..*|[a-z]:\\.*|\\\\.*|/.+/.*|@\w+|[\w.+-]{1,100}@[\w.-]{1,200}"
    rf"|[a-z0-9-]{{1,63}}(?:\.[a-z0-9-]{{1,63}}){{0,5}}\.(?:{_DOMAINS})(?:[/?#:].*)?",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(
    r"(.*)\.(?:jpe?g|jpe|jfif|jp2|png|gif|tiff?|bmp|webp|svg|heic|heif|avif|ico|eps|psd|raw|cr[23]"
    r"|nef|arw|dng|orf|rw2|pdf|docx?|pptx?|xlsx?|mp[34]|mov|avi|zip|html?|php|aspx?|jsp|cgi|csv"
    r"|xml|json)(?:[?#&@:!].*)?",
    re.IGNORECASE,
)
_AROUND = "\"'`“”„«»\u2018\u2019()[]{}<>.,:;!?*|"
_BETWEEN = re.compile(r"[\s,;|()\[\]{}\"“”„«»!?]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3041-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af]+"
)
"""Thai, Lao, Burmese, Khmer, kana, Chinese characters, and Korean."""
_CODE = re.compile(r"[\W\d_]*+[A-Z]{1,3}[\W\d_]*+")
_NO_VOWELS = re.compile(r"[b-df-hj-np-tv-xz]{5,}")
_NUMBER, _BESIDE, _WORD = "number", "beside", "word"


def without_addresses(text: str) -> str:
    """Return a caption without markup, addresses and file names, in one line.

    Entities such as ``&amp;`` become what they stand for. Nothing is left of an address alone.
    """
    plain = _URL.sub(" ", _MARKUP.sub(" ", html.unescape(text)))
    return " ".join(kept for token in plain.split() if (kept := _without_name(token)))


def is_noise(text: str) -> bool:
    """Return whether a caption is in no language: see the module."""
    plain = unicodedata.normalize("NFKC", without_addresses(text))
    if _CODE.fullmatch(plain):
        return True
    # What was taken out says what a number would.
    found = {_NUMBER} if len(plain) < len(" ".join(html.unescape(text).split())) else set()
    for token in _BETWEEN.split(plain):
        found.update(_parts(token))
        if _WORD in found:
            return False
    return _BESIDE not in found or _NUMBER in found


def _without_name(token: str) -> str:
    """Return a token, or ``""`` if it is an address or the name of a file."""
    if token.isalpha():
        return token
    bare = token.strip(_AROUND)
    if _ADDRESS.fullmatch(bare):
        return ""
    if name := _FILE_NAME.fullmatch(bare):
        return name[1] if _UNSPACED.search(name[1]) else ""
    return token


def _parts(token: str) -> Iterator[str]:
    """Yield what a token has: numbers (and codes), what says nothing beside them, words."""
    has_digits = any(character.isdigit() for character in token)
    if has_digits or "_" in token:
        yield _NUMBER
    if runs := _UNSPACED.findall(token):
        yield from (_BESIDE if run in BESIDE_NUMBERS else _WORD for run in runs if _says(run))
    elif not has_digits and "_" not in token:
        for letters in letters_of(token).split():
            if len(letters) > 1:
                yield _kind(letters)


def _says(run: str) -> bool:
    """Return whether a run of letters, in a script without blanks, is more than a single letter."""
    return len(run) > 1 or unicodedata.name(run, "").startswith(("CJK", "HANGUL SYL", "HIRAGANA"))


def letters_of(text: str) -> str:
    """Return a text with a blank in place of everything but letters and their marks."""
    return "".join(
        character
        if character.isalpha() or (category := unicodedata.category(character))[0] == "M"
        else ("" if category == "Cf" else " ")  # such as the joiners of Persian and Hindi
        for character in text
    )


def _kind(letters: str) -> str:
    word = letters.lower()
    if word in NEVER_WORDS or len(set(word)) == 1 or _NO_VOWELS.fullmatch(word):
        return _NUMBER
    # Capitals and small letters in turn, as in kXqWzpLm; CamelCase has longer words.
    humps = 1 + sum(a.islower() and b.isupper() for a, b in pairwise(letters))
    if humps > 2 and len(letters) <= 2.5 * humps:
        return _NUMBER
    return _BESIDE if word in BESIDE_NUMBERS else _WORD
