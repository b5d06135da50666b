"""Scenes that stay open, for tests of places."""

from __future__ import annotations

import pytest
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.places.loaded import LoadedScene


@pytest.fixture
def opened(scene, packages):
    """Return a function that opens the scene for a network; all are closed at the end."""
    kept = []

    def load(model: str = "trial-type", **changes) -> LoadedScene:
        kept.append(LoadedScene(scene.inputs, str(packages / model), Silent(), **changes))
        return kept[-1]

    yield load
    for loaded in kept:
        loaded.close()
