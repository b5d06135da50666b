"""Ablations are zero-centred, purple to orange; their legends say which group does what, their table is typed."""

from __future__ import annotations

import pytest
from floelens.plugin.report.ablation_table import COLUMNS, ablation_csv, ablation_csvt
from floelens.plugin.report.styles.ablation import ablation_style
from floelens.plugin.report.styles.layers import sidecar
from qgis.core import QgsRasterLayer

pytestmark = pytest.mark.usefixtures("qgis_app")


def shader_of(raster, text):
    sidecar(raster).write_text(text, encoding="utf-8")
    layer = QgsRasterLayer(str(raster), "layer")
    assert layer.isValid()
    assert layer.renderer().type() == "singlebandpseudocolor"
    return layer, layer.renderer().shader()


@pytest.mark.parametrize(("limit", "end"), [(12.5, 12.5), (0.0, 1.0), (float("nan"), 1.0)])
def test_an_ablation_tells_what_its_group_does(backscatter, limit, end):
    _, shader = shader_of(backscatter, ablation_style("ice", "hv", limit, "%"))
    assert shader.shade(-end)[1:4] == (84, 39, 136)
    assert shader.shade(0.0)[1:4] == (255, 255, 255)
    assert shader.shade(end)[1:4] == (179, 88, 6)
    settings = shader.rasterShaderFunction().legendSettings()
    assert settings.maximumLabel().endswith("%: hv raises ice")
    assert settings.minimumLabel().endswith("%: hv lowers ice")


def test_the_table_has_a_type_for_every_column_and_blanks_for_what_is_missing():
    text = ablation_csv([{"group": "hh", "linear": False, "rmse_map": 1.25, "shapley": None, "pixels": 7}])
    header, row = (line.split(",") for line in text.splitlines())
    assert header == list(COLUMNS)
    found = dict(zip(header, row))
    assert (found["linear"], found["rmse_map"], found["shapley"], found["pixels"]) == ("no", "1.25", "", "7")
    types = dict(zip(COLUMNS, ablation_csvt().strip().split(",")))
    assert (types["group"], types["pixels"], types["shapley"]) == ('"String"', '"Integer64"', '"Real"')
