"""What a person sets once, in QGIS's options: the memory that dialogs offer, and a folder of models."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsSettings

from ...ground.vocabulary.settings import MEMORY
from ...networks import registry

MEMORY_KEY, MODELS_KEY = "floelens/memory", "floelens/models"


def preferred_memory() -> int:
    """Return the MiB that dialogs offer as MEMORY; a preference that is no number in its bounds does not count."""
    try:
        preferred = int(QgsSettings().value(MEMORY_KEY, MEMORY.default))
    except (TypeError, ValueError):
        return MEMORY.default
    return preferred if MEMORY.least <= preferred <= MEMORY.most else MEMORY.default


def preferred_models() -> str:
    """Return the folder of models that the person named; empty where there is none."""
    return str(QgsSettings().value(MODELS_KEY, "") or "").strip()


def apply_preferences() -> None:
    """Look for models in the folder that the person named, too."""
    folder = preferred_models()
    registry.look_in([Path(folder)] if folder else [])


def set_preferences(memory: int, models: str) -> None:
    """Keep and apply what a person prefers; a default is not kept, so that a later one counts."""
    for key, value, default in ((MEMORY_KEY, memory, MEMORY.default), (MODELS_KEY, models.strip(), "")):
        if value == default:
            QgsSettings().remove(key)
        else:
            QgsSettings().setValue(key, value)
    apply_preferences()
