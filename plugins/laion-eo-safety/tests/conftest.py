from __future__ import annotations

pytest_plugins = ["laion_eo.testing.fixtures"]
