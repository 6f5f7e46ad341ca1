"""``python -m laion_eo`` is ``laion-eo``."""

from laion_eo.cli import main

main()
