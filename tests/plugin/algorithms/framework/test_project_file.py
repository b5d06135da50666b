"""The project of an explained scene: layers in order, one question shown at a time, the answer below the map."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from floelens.tests.plugin.conftest import write_raster


@pytest.fixture
def project(qgis_processing, tmp_path):
    """Return the project as QGIS reads it after its folder was moved."""
    from floelens.plugin.algorithms.framework.project_file import Shown, questions, write_project
    from qgis.core import QgsProject

    folder = tmp_path / "made"
    folder.mkdir()
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    outputs = ("OUTPUT", "SAR_RELEVANCE", "MWR_RELEVANCE", "CHART", "SAR")
    paths = {name: str(write_raster(folder / f"{name}.tif", {"hh": values})) for name in outputs}
    answer = "SAR speaks for ice. " * 10
    write_project(
        str(folder / "first.qgz"), questions(paths), [Shown("SAR, HH", paths["SAR"])], answer.strip()
    )
    shutil.move(folder, tmp_path / "moved")
    read = QgsProject()
    assert read.read(str(tmp_path / "moved" / "first.qgz"))
    yield read
    read.clear()


def test_layers_are_ordered_and_one_answer_is_shown_above_the_image(project):
    layers = project.layerTreeRoot().findLayers()
    assert [(node.name(), node.itemVisibilityChecked()) for node in layers] == [
        ("Why? Evidence in SAR", True),
        ("Why? Evidence in radiometry", False),
        ("What does the network map?", False),
        ("What is true?", False),
        ("SAR, HH", True),
    ]
    assert all(node.layer().isValid() for node in layers)  # by relative paths


def test_choosing_another_question_hides_the_first(project):
    first, second, *_, image = project.layerTreeRoot().findLayers()
    second.setItemVisibilityChecked(True)
    assert [node.itemVisibilityChecked() for node in (first, second, image)] == [False, True, True]


def test_every_question_is_a_map_theme_with_the_image_below_it(project):
    themes = project.mapThemeCollection()
    assert len(themes.mapThemes()) == 4
    shown = [layer.name() for layer in themes.mapThemeVisibleLayers("What is true?")]
    assert sorted(shown) == ["SAR, HH", "What is true?"]


def test_the_answer_stands_at_the_map_in_lines_that_fit(project):
    text, found = project.readEntry("TitleLabel", "/Label")
    assert found
    assert " ".join(text.split()) == " ".join(["SAR speaks for ice."] * 10)
    assert max(map(len, text.splitlines())) <= 110
    assert project.crs().authid() == "EPSG:3413"
