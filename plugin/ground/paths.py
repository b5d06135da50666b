"""Where FloeLens is installed, and the folders of what it brings along."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
RESOURCES = ROOT / "resources"
DOCUMENTATION = "https://floelens.github.io/floelens"  # the site that `make docs` builds
