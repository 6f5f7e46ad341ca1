"""How often the guard of releases holds back an ordinary image URL, and what a URL costs.

``python benchmarks/url_guard.py URLS [--show]``

``URLS`` is a text file, one image URL of the public web a line. Those that are held back are shown,
without what is taken for a secret, for a person to judge.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from laion_eo.hub.public_urls import fault_of_url, shown


def main() -> None:
    """Judge every URL of the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", type=Path)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    urls = [line for line in arguments.urls.read_text("utf-8").splitlines() if line]
    begun = time.process_time()
    faults = [fault_of_url(url) for url in urls]
    seconds = time.process_time() - begun
    counts = Counter(fault.value for fault in faults if fault)
    if arguments.show:
        for url, fault in zip(urls, faults, strict=True):
            if fault:
                print(f"{fault.value}: {shown(url)}")
    rate = counts.total() / max(1, len(urls))
    microseconds = round(1e6 * seconds / max(1, len(urls)), 1)
    figures = {"urls": len(urls), "held_back": dict(counts), "rate": round(rate, 5)}
    print(json.dumps({**figures, "microseconds_a_url": microseconds}))


if __name__ == "__main__":
    main()
