"""A run closes the layers that QGIS loaded for it, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from floelens.plugin.algorithms.framework import declare
from floelens.plugin.algorithms.framework.base import FloeLensAlgorithm
from floelens.plugin.algorithms.framework.loaded_layers import note_layers
from floelens.plugin.ground.errors import SceneError
from floelens.tests.plugin.algorithms.mixed_runs import write_polygon
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsProperty, QgsVectorLayer

SQUARE = "POLYGON ((0 0, 1000 0, 1000 1000, 0 1000, 0 0))"


@dataclass(frozen=True)
class Reads:
    """Returns how many polygons it was given, or fails as told."""

    polygons: int
    fails: bool
    library: str = ""

    def run(self, progress) -> dict[str, object]:
        """Run."""
        if self.library:
            raise ModuleNotFoundError(f"No module named '{self.library}'", name=self.library)
        if self.fails:
            raise SceneError("The scene is no good.")
        return {"COUNT": self.polygons}


class Trial(FloeLensAlgorithm):
    """Reads polygons."""

    ID = "trial"
    TITLE = "Trial"
    NEEDS = ()
    library = ""

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(declare.polygons("AOI", "Region", "Polygons."))
        self.addParameter(declare.point("POINT", "Point", "Place."))
        self.addParameter(declare.flag("FAIL", "Fail", "Or not."))

    def job(self, values) -> Reads:
        """Return the job."""
        found = values.polygons("AOI")
        self.place = values.lonlat("POINT")
        return Reads(len(found.wkb) if found else 0, values.flag("FAIL"), self.library)


@pytest.fixture
def trial(qgis_processing) -> Trial:
    algorithm = Trial()
    algorithm.initAlgorithm()
    return algorithm


def opened(path: str) -> int:
    """Return how often this process holds a file open."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:
            continue
    return links.count(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells what a process holds open")
@pytest.mark.parametrize("fails", [False, True])
def test_a_file_is_closed_after_the_run_that_read_it(trial, context, tmp_path, fails):
    path = write_polygon(tmp_path / "aoi.gpkg", SQUARE)
    parameters = {"AOI": path, "FAIL": fails}
    assert trial.checkParameterValues(parameters, context)[0]
    trial.run(parameters, context, QgsProcessingFeedback(False))
    assert context.temporaryLayerStore().mapLayers() == {}
    assert opened(path) == 0


def test_a_layer_that_was_loaded_but_not_read_is_closed_when_the_run_fails(trial, context, tmp_path):
    path = write_polygon(tmp_path / "aoi.gpkg", SQUARE)
    note_layers(context)
    assert trial.parameterAsVectorLayer({"AOI": path}, "AOI", context) is not None
    with pytest.raises(QgsProcessingException):
        trial.processAlgorithm({"FAIL": True}, context, QgsProcessingFeedback(False))
    assert context.temporaryLayerStore().mapLayers() == {}


@pytest.mark.parametrize("fails", [False, True])
def test_a_layer_that_a_script_loaded_into_the_context_stays(trial, context, tmp_path, fails):
    path = write_polygon(tmp_path / "aoi.gpkg", SQUARE)
    layer = QgsVectorLayer(path, "mine", "ogr")
    context.temporaryLayerStore().addMapLayer(layer)
    trial.run({"AOI": path, "FAIL": fails}, context, QgsProcessingFeedback(False))
    assert layer.isValid()
    assert layer.featureCount() == 1
    assert list(context.temporaryLayerStore().mapLayers().values()) == [layer]


def test_a_library_that_a_job_misses_is_named_with_the_command(trial, context):
    trial.library = "scipy"
    feedback = QgsProcessingFeedback(False)
    assert "scipy" in trial._attempt({}, context, feedback)[1]
    assert "pip install" in trial._attempt({}, context, feedback)[1]


def test_a_point_by_an_expression_is_a_point(trial, context):
    feedback = QgsProcessingFeedback(False)
    text, geometry = (QgsProperty.fromExpression(e) for e in ("'-39,69.5'", "make_point(-39, 69.5)"))
    assert trial._attempt({"POINT": text}, context, feedback)[1] == ""
    assert trial.place == pytest.approx((-39.0, 69.5))
    assert "its expression gives" in trial._attempt({"POINT": geometry}, context, feedback)[1]


def test_looks_that_fail_are_a_warning_and_not_the_end_of_a_finished_run(trial, context, monkeypatch):
    def broken(*_):
        raise AttributeError("QGIS has changed")

    monkeypatch.setattr(trial, "_style_layers", broken)
    feedback = QgsProcessingFeedback(False)
    assert trial._attempt({}, context, feedback)[1] == ""
    assert "QGIS has changed" in feedback.textLog()
