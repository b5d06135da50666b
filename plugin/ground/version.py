"""The version, from the one source, ``metadata.txt``."""

from __future__ import annotations

import configparser
from functools import lru_cache

from .paths import ROOT


@lru_cache(maxsize=1)
def plugin_version() -> str:
    """Return the version."""
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(ROOT / "metadata.txt", encoding="utf-8")
    return metadata.get("general", "version")
