"""Short captions of known language, and texts that have none."""

from __future__ import annotations

CAPTIONS = [
    ("en", "A satellite image of the river delta after the flood"),
    ("de", "Ein Satellitenbild des Flussdeltas nach dem Hochwasser"),
    ("fr", "Une image satellite du delta du fleuve après la crue"),
    ("es", "Imagen de satélite del delta del río después de la inundación"),
    ("it", "Immagine satellitare del delta del fiume dopo l'alluvione"),
    ("pl", "Zdjęcie satelitarne delty rzeki po powodzi"),
    ("tr", "Selden sonra nehir deltasının uydu görüntüsü"),
    ("ru", "Спутниковый снимок дельты реки после наводнения"),
    ("ko", "홍수가 지나간 뒤의 강 삼각주 위성 사진"),
    ("ja", "洪水のあとの川の三角州を写した衛星写真"),
    ("zh", "洪水过后河流三角洲的卫星图像"),
    ("ar", "صورة بالأقمار الصناعية لدلتا النهر بعد الفيضان"),
]
NOTHING = ["", " \n", "2019-07-31", "🛰🌍🔥", "--- 12.5 %", "…"]
