"""A run that is killed in the middle leaves nothing under the names it was asked for."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys

import pytest
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.common.inputs import Compute
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.relevance import Relevance
from floelens.tools.headless import ROOT

# Runs a job until it reports that so much is done, and ends as if the machine had lost its power.
SCRIPT = """
import importlib.util, os, pickle, signal, sys
root, job, share = sys.argv[1:]
spec = importlib.util.spec_from_file_location("floelens", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["floelens"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["floelens"])
from floelens.plugin.ground.protocols import Silent

class Killed(Silent):
    def report(self, fraction, text=""):
        if fraction >= float(share):
            os.kill(os.getpid(), signal.SIGKILL)

with open(job, "rb") as file:
    pickle.load(file).run(Killed())
"""
JOBS = {
    "relevance": (Relevance, {"sar_relevance": "s.tif", "mwr_relevance": "m.tif", "report": "r.html"}),
    "contributions": (Contributions, {"output": "c.tif"}),
    "ablation": (Ablation, {"output": "a.tif", "table": "a.csv"}),
}


@pytest.mark.parametrize(("name", "share"), [*zip(JOBS, (0.4, 1.0, 1.0))])
def test_nothing_is_left_under_its_final_name(scene, packages, tmp_path, name, share):
    kind, files = JOBS[name]
    place = tmp_path / "results"
    place.mkdir()
    outputs = {key: str(place / file) for key, file in files.items()}
    settings = (
        {"groups": "sensor"} if name == "ablation" else {"method": "gated"} if name == "contributions" else {}
    )
    model, small = str(packages / "trial-concentration"), Compute("cpu", memory_mib=200)
    job = kind(scene=scene.inputs, model=model, compute=small, **settings, **outputs)
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    command = [sys.executable, "-c", SCRIPT, str(ROOT), str(tmp_path / "job"), str(share)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = {file.name for file in place.iterdir()}
    assert left
    assert all(file.startswith(".") and "floelens-" in file for file in left)
    job.run(Silent())
    assert {file.name for file in place.iterdir()} >= set(files.values())
    assert not any("floelens-" in file.name for file in place.iterdir())
