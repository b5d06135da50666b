"""A small simulated scene for the jobs to work on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.simulate import SimulateScene


class Recorder(Silent):
    """A progress that keeps warnings, and asks to stop once `stop_at` of the work is done."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.warnings: list[str] = []
        self._stop_at = stop_at
        self._done = 0.0

    def report(self, fraction: float, text: str = "") -> None:
        """Take note of how far the work is."""
        self._done = fraction

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)

    def cancelled(self) -> bool:
        """Return whether it is time to stop."""
        return self._done >= self._stop_at


def simulate(folder: Path, **changes) -> SimpleNamespace:
    """Simulate a scene (of water, young and first-year ice) into `folder`; return paths and inputs."""
    paths = {name: str(folder / f"{name}.tif") for name in ("sar", "mwr", "chart")}
    settings = {"seed": 51, "rows": 255, "cols": 285, "center": (20.0, 79.0)}
    SimulateScene(**{**settings, **changes}, **paths).run(Silent())
    return SimpleNamespace(**paths, inputs=SceneInputs(paths["sar"], paths["mwr"]))


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Return a scene on tie points: 255 x 285 pixels, no whole number of cells."""
    return simulate(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def recorder() -> Recorder:
    """Return a progress that keeps warnings."""
    return Recorder()


@pytest.fixture
def stopping() -> Recorder:
    """Return a progress that asks to stop as soon as any work is done."""
    return Recorder(stop_at=1e-9)
