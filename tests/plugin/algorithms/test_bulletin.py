"""One page to hand on: what is on it, where it lies, and what a person hears who gives the wrong file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.gui import bulletin_layout
from floelens.plugin.report.bulletin.content import bulletin_of
from floelens.plugin.report.relevance.answer import answer
from floelens.plugin.report.relevance.report import relevance_json
from floelens.plugin.report.styles.layers import relevance_style, sidecar
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.report.report_data import relevance_report
from osgeo import gdal
from qgis.core import (
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsPrintLayout,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return the parameters of a run: a report and the rasters of its maps."""
    ramp = np.linspace(-1, 1, 60 * 90, dtype=np.float32).reshape(60, 90)
    sar = write_raster(tmp_path / "sar_relevance.tif", {"hh": ramp, "hv": ramp[::-1]})
    sidecar(sar).write_text(relevance_style("ice", 0.8, band=2), encoding="utf-8")
    scene = write_raster(tmp_path / "scene.tif", {"hh": ramp - 20, "hv": ramp - 28})
    report = tmp_path / "report.json"
    report.write_text(relevance_json(relevance_report()), encoding="utf-8")
    return {
        "REPORT": str(report),
        "SAR_RELEVANCE": str(sar),
        "SAR": str(scene),
        "OUTPUT": str(tmp_path / "page.pdf"),
    }


@pytest.fixture
def run(provider):
    """Return a function that runs the tool as a dialog does."""

    def run(parameters: dict) -> dict:
        context, algorithm = QgsProcessingContext(), provider.algorithm("bulletin").create()
        accepted, problem = algorithm.checkParameterValues(parameters, context)
        assert accepted, problem
        return algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)[0]

    return run


@pytest.fixture
def drawn(monkeypatch):
    """Return the layouts as they are when QGIS exports them."""
    seen = []
    furnish = bulletin_layout._furnish

    def watch(layout: QgsPrintLayout, crs) -> None:
        furnish(layout, crs)
        items = {item.id(): item for item in layout.items() if hasattr(item, "id")}
        seen.append(
            {
                "texts": {n: i.text() for n, i in items.items() if isinstance(i, QgsLayoutItemLabel)},
                "maps": {
                    n: (i.layers()[0].name(), i.extent())
                    for n, i in items.items()
                    if isinstance(i, QgsLayoutItemMap)
                },
                "legends": {
                    n: [layer.name() for layer in i.model().rootGroup().findLayers()]
                    for n, i in items.items()
                    if isinstance(i, QgsLayoutItemLegend)
                },
            }
        )

    monkeypatch.setattr(bulletin_layout, "_furnish", watch)
    return seen


def test_a_page_holds_the_answer_and_the_maps_that_were_given(run, files, drawn):
    assert run(files)["OUTPUT"] == files["OUTPUT"]
    (page,) = drawn
    assert page["texts"]["answer"] == "\n".join(answer(relevance_report()))
    assert page["texts"]["name_sar_relevance"].endswith(": hv")  # the band that its style shows
    assert {name: shown[0] for name, shown in page["maps"].items()} == {
        "scene": "scene",
        "sar_relevance": "sar_relevance",
    }
    assert page["legends"] == {"legend_scene": ["scene"], "legend_sar_relevance": ["sar_relevance"]}
    for _, extent in page["maps"].values():  # 90 x 60 pixels of 80 m
        assert extent.width() >= 7200 - 1
        assert extent.contains(extent.center())
        assert extent.width() == pytest.approx(7200, rel=0.3)
    with (
        gdal.OpenEx(files["OUTPUT"])
        if hasattr(gdal.Dataset, "__enter__")
        else _opened(files["OUTPUT"]) as pdf
    ):
        width, height = pdf.RasterXSize, pdf.RasterYSize
    assert height / width == pytest.approx(297 / 210, rel=0.01)


class _opened:  # noqa: N801
    """A dataset as a block, for GDAL before 3.8."""

    def __init__(self, path: str) -> None:
        self._dataset = gdal.OpenEx(path)

    def __enter__(self):
        return self._dataset

    def __exit__(self, *_error) -> None:
        self._dataset = None


def test_a_template_of_a_service_is_filled_by_its_ids(run, files, drawn, tmp_path):
    text = bulletin_layout.TEMPLATE.read_text(encoding="utf-8")
    own = tmp_path / "own.qpt"
    own.write_text(text.replace('id="trust"', 'id="our_motto"'), encoding="utf-8")
    run({**files, "TEMPLATE": str(own)})
    assert drawn[0]["texts"]["our_motto"] == "Limits."
    assert "trust" not in drawn[0]["texts"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("REPORT", "{", "is no JSON file"),
        ("REPORT", "[1]", "is not the JSON report"),
        ("REPORT", '{"format": "floelens-relevance-report"}', "holds no answer"),
        ("REPORT", '{"format": "floelens-relevance-report", "answer": ["x"]}', "is incomplete"),
        (
            "REPORT",
            '{"format": "floelens-relevance-report", "answer": ["x"], "provenance": 3}',
            "is incomplete",
        ),
        ("TEMPLATE", "no xml", "is no layout template"),
        ("TEMPLATE", "<a/>", "cannot load"),
        ("TEMPLATE", '<!DOCTYPE x [<!ENTITY a "b">]><Layout/>', "is no layout template"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence_and_leaves_nothing(
    run, files, tmp_path, name, text, sentence
):
    wrong = tmp_path / {"REPORT": "wrong.json", "TEMPLATE": "wrong.qpt"}[name]
    wrong.write_text(text)
    with pytest.raises(QgsProcessingException, match=sentence) as error:
        run({**files, name: str(wrong)})
    assert str(error.value).startswith(f"{name}: ")
    assert not Path(files["OUTPUT"]).exists()


def test_a_raster_that_is_none_is_refused(run, files, tmp_path):
    wrong = tmp_path / "wrong.tif"
    wrong.write_text("no raster")
    with pytest.raises((QgsProcessingException, AssertionError), match="SAR"):
        run({**files, "SAR": str(wrong)})


def test_the_shipped_template_has_every_item_that_is_filled(provider):
    project = QgsProject()
    layout = bulletin_layout.new_layout(project)
    bulletin_layout._load(layout, bulletin_layout.TEMPLATE)
    names = [f"{prefix}{name}" for name in bulletin_layout.MAPS for prefix in ("", "name_", "legend_")]
    for name in (*names, "title", "subtitle", "answer", "trust", "source", "scale_bar", "north"):
        assert layout.itemById(name) is not None, name


def test_warnings_come_before_the_limits_of_the_model():
    report = json.loads(relevance_json(relevance_report(warnings=("HV has gaps.",))))
    assert bulletin_of(report).trust.splitlines()[0] == "HV has gaps."
    assert "rather than young ice" in bulletin_of({**report, "reference_class": "young ice"}).title
