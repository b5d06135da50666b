"""The stamp benchmark's parameters become the job's fields, and a scene without SAR is a sentence."""

from __future__ import annotations

import pytest
from floelens.plugin.algorithms.framework.base import Destinations
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.vocabulary.stamps import STAMP_DEFAULT_METHODS, STAMPS
from floelens.tests.plugin.jobs.conftest import simulate


@pytest.fixture
def job_of(provider, context, tmp_path):
    """Return a function that makes the job of some parameters."""

    def make(**parameters: object):
        algorithm = provider.algorithm("stampbenchmark")
        values = {"OUTPUT": str(tmp_path / "stamps.csv"), **parameters}
        return algorithm.job(Destinations(algorithm, values, context))

    return make


def test_parameters_become_the_fields_of_the_job(job_of, tmp_path):
    scene = simulate(tmp_path, rows=50, cols=50)
    job = job_of(
        SAR=scene.sar, MWR=scene.mwr, MODEL="aspp-icetype-sim", CLASS="young ice", STAMPS=["dark_lead"],
        METHODS=["lrp_0", "occlusion"], PARTS=["model"], SIZE="full", SEED=4, STAMP_SIZE=3, CONTRAST=9.5,
        MWR_OFFSET=-12.0, STAMP_CHANNELS="HH, btemp_18_7h", POSITION="centre", MEMORY=500,
        OUTPUT_RASTER=str(tmp_path / "change.tif"), REPORT=str(tmp_path / "page.html"),
    )  # fmt: skip
    assert (job.scene.sar, job.scene.mwr, job.model, job.class_name) == (
        scene.sar, scene.mwr, "aspp-icetype-sim", "young ice",
    )  # fmt: skip
    assert (job.stamps, job.methods, job.parts) == (("dark_lead",), ("lrp_0", "occlusion"), ("model",))
    assert (job.size, job.seed, job.stamp_size, job.contrast, job.offset) == ("full", 4, 3, 9.5, -12.0)
    assert (job.stamp_channels, job.position) == (("hh", "btemp_18_7h"), "centre")
    assert job.compute.memory_mib == 500
    assert job.output_raster.endswith("change.tif")
    assert job.report_json.endswith("page_report.json")


def test_without_a_scene_all_stamps_are_tried_on_simulated_ones(job_of):
    job = job_of()
    assert job.scene is None
    assert (job.stamps, job.methods, job.parts) == (
        tuple(STAMPS), STAMP_DEFAULT_METHODS, ("classifier", "model"),
    )  # fmt: skip


def test_radiometry_without_sar_is_a_sentence(job_of, tmp_path):
    scene = simulate(tmp_path, rows=50, cols=50)
    with pytest.raises(ParameterError, match="MWR is given, but SAR is not"):
        job_of(MWR=scene.mwr)
