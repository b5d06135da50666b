"""Contributions and ablation as `qgis_process` runs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from floelens.tools.headless import HeadlessQgis
from qgis.core import QgsProcessingFeedback, QgsRasterLayer, QgsVectorLayer


@pytest.fixture
def qgis(qgis_process: HeadlessQgis, packages: Path) -> HeadlessQgis:
    """Return a QGIS that knows the two trial models and uses one core."""
    return replace(qgis_process, variables={"FLOELENS_MODELS": str(packages), "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def inputs(provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the parameters of every run on a small simulated scene."""
    import processing

    folder = tmp_path_factory.mktemp("scene")
    paths = {name: str(folder / f"{name.lower()}.tif") for name in ("SAR", "MWR")}
    processing.run("floelens:simulatescene", {"SEED": 11, "ROWS": 150, "COLS": 175, **paths})
    return {**paths, "MODEL": "trial-concentration"}


@pytest.fixture
def run(provider, packages, monkeypatch):
    """Return a function that runs an algorithm in this process, and what it said."""
    monkeypatch.setenv("FLOELENS_MODELS", str(packages))

    def call(name: str, **parameters) -> tuple[dict, str]:
        given = {key: str(value) if isinstance(value, Path) else value for key, value in parameters.items()}
        feedback = QgsProcessingFeedback(False)
        found = processing.run(f"floelens:{name}", given, feedback=feedback)
        return found, feedback.textLog()

    import processing

    return call


def said(done) -> str:
    return done.stdout + done.stderr


def test_contributions_come_with_style_shares_and_a_residual(run, inputs, tmp_path):
    output = tmp_path / "parts.tif"
    found, log = run("contributions", **inputs, GROUPS="sensor", OUTPUT=output)
    assert found["OUTPUT"] == str(output)
    assert found["RELATIVE_RESIDUAL"] < 1e-4
    assert found["STEPS_TAKEN"] == 1  # one of the two groups is linear: the other is what it leaves
    assert found["SHARES"].startswith("sar=")
    assert found["LEADING_GROUP"] in ("sar", "mwr")
    assert "mean size" in log
    layer = QgsRasterLayer(str(output), "opened by hand")
    assert [layer.bandName(i) for i in range(1, 5)] == [
        "Band 1: sar", "Band 2: mwr", "Band 3: bias", "Band 4: logit",
    ]  # fmt: skip
    settings = layer.renderer().shader().rasterShaderFunction().legendSettings()
    assert "speaks for ice (logit)" in settings.maximumLabel()


def test_an_ablation_comes_with_a_typed_table(run, inputs, tmp_path):
    output, table = tmp_path / "lost.tif", tmp_path / "lost.csv"
    others = {"BASELINE_SAR": inputs["SAR"], "BASELINE_MWR": inputs["MWR"]}
    settings = {"BASELINE": "scene", "GROUPS": "sensor", "OUTPUT": output, "TABLE": table}
    found, _ = run("ablation", **inputs, **others, **settings)
    assert (found["OUTPUT"], found["TABLE"]) == (str(output), str(table))
    assert found["EFFICIENCY"] < 1e-6
    layer = QgsVectorLayer(str(table), "table", "ogr")
    rows = {feature["group"]: feature for feature in layer.getFeatures()}
    assert list(rows) == ["sar", "mwr", "all"]
    assert isinstance(rows["mwr"]["shapley"], float)
    assert rows["all"]["pixels"] == found["PIXELS"]


@pytest.mark.parametrize(
    ("algorithm", "changes", "sentence"),
    [
        pytest.param("contributions", {"BASELINE": "vv=-20"}, "has no channel 'vv'", marks=pytest.mark.slow),
        ("ablation", {"BASELINE": "scene"}, "BASELINE=scene and BASELINE_SAR belong together"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_1_and_no_file(
    qgis, inputs, tmp_path, algorithm, changes, sentence
):
    done = qgis.run(f"floelens:{algorithm}", **inputs, **changes, OUTPUT=tmp_path / "out.tif")
    assert done.returncode == 1
    assert sentence in said(done)
    assert "Traceback" not in said(done)
    assert list(tmp_path.iterdir()) == []
