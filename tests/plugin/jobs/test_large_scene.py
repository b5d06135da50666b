"""A full Sentinel-1 EW scene stays within the memory it is given, as `qgis_process` runs it."""

from __future__ import annotations

import pytest
from floelens.bench.speed import measure

SIDE = 10_000
LIMIT_MIB = 2048


@pytest.fixture(scope="module")
def scene(qgis_process, tmp_path_factory) -> dict[str, object]:
    """Return a simulated scene of 100 megapixels."""
    folder = tmp_path_factory.mktemp("large")
    rasters = {name: folder / f"{name.lower()}.tif" for name in ("SAR", "MWR")}
    measure(
        qgis_process, qgis_process.command("floelens:simulatescene", SEED=1, ROWS=SIDE, COLS=SIDE, **rasters)
    )
    return {**rasters, "MODEL": "aspp-concentration-sim", "MEMORY": 1024}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "outputs", "settings"),
    [
        ("predict", ["OUTPUT"], {}),
        ("relevance", ["SAR_RELEVANCE", "MWR_RELEVANCE"], {"METHOD": "gradient_x_input"}),
        ("relevance", ["SAR_RELEVANCE", "MWR_RELEVANCE"], {"METHOD": "lrp_epsilon"}),
    ],
    ids=["predict", "gradient_x_input", "lrp_epsilon"],
)
def test_a_hundred_megapixels_take_less_than_two_gibibytes(
    qgis_process, scene, tmp_path, algorithm, outputs, settings
):
    paths = {name: tmp_path / f"{name.lower()}.tif" for name in outputs}
    command = qgis_process.command(f"floelens:{algorithm}", **scene, **settings, **paths)
    cost = measure(qgis_process, command)
    assert all(path.exists() for path in paths.values())
    assert cost.peak < LIMIT_MIB
