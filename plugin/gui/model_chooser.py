"""A combo box of the installed models, in which a path may be typed."""

from __future__ import annotations

from ..networks import registry
from .typed_choice import TypedChoice


class ModelChooser(TypedChoice):
    """Chooses the MODEL of an algorithm: an installed id, or a path."""

    def choices(self) -> list[str]:
        """Return the installed ids."""
        return sorted(registry.installed())
