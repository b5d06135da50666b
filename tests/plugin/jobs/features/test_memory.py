"""A feature analysis of a large scene stays within the memory it is given."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from floelens.plugin.ground.paths import ROOT
from floelens.tests.plugin.jobs.conftest import simulate

SIDE, MEMORY_MIB = 4000, 512
# What Python, torch and GDAL take beside the arrays that MEMORY bounds; measured 362 MiB, and 306 MiB for predict.
PROGRAM_MIB = 600
WORK = """
import importlib.util, json, resource, sys
root = sys.argv[2]
spec = importlib.util.spec_from_file_location("floelens", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["floelens"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["floelens"])
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.{module} import {job}
settings = json.loads(sys.argv[1])
scene = SceneInputs(settings.pop("sar"), settings.pop("mwr"))
{job}(scene=scene, compute=Compute(memory_mib={memory}), **settings).run(Silent())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_of(module: str, job: str, **settings) -> float:
    """Return the most memory, in MiB, that a job takes in a process of its own."""
    code = WORK.format(module=module, job=job, memory=MEMORY_MIB)
    command = [sys.executable, "-c", code, json.dumps(settings), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


@pytest.mark.slow
def test_the_map_of_sixteen_megapixels_takes_no_more_than_memory_and_the_program(tmp_path):
    scene = simulate(tmp_path, rows=SIDE, cols=SIDE)
    settings = {
        "sar": scene.sar,
        "mwr": scene.mwr,
        "model": "aspp-icetype-sim",
        "class_name": "first-year ice",
    }
    peak = peak_of("features.job", "Features", **settings, output=str(tmp_path / "output.tif"))
    assert peak < MEMORY_MIB + PROGRAM_MIB
