"""After runs are killed by the clock all old or all new files stand there, or the next run says and mends it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from floelens.tests.plugin.kills.kill_jobs import every_job, every_tool, make_inputs
from floelens.tools.headless import ROOT

KILLS = int(os.environ.get("FLOELENS_KILLS", "200"))
# A fork has none of the threads that libraries start.
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="kills forks of a process")


@pytest.fixture
def kill(packages, tmp_path):
    """Return a function that kills so many runs, of some jobs or all, and returns what came of them."""

    def run(kills: int, names: tuple[str, ...] = ()) -> dict:
        inputs = make_inputs(tmp_path / "inputs", packages)
        jobs = [job for job in [*every_job(inputs), *every_tool(inputs)] if not names or job[0] in names]
        (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
        script, places = (
            Path(__file__).with_name("kill_runs.py"),
            [tmp_path / name for name in ("jobs", "place")],
        )
        command = [sys.executable, script, ROOT, *places, inputs, str(kills), "1"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **ALONE}
        )
        assert done.returncode == 0
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["wrong"] == []
        assert found["kills"] == kills
        return found

    return run


def test_a_few_killed_runs_leave_no_mixture_that_is_not_mended_and_said(kill):
    found = kill(12, ("importscene", "simulatescene", "package"))
    assert found["killed in the run"] > 4
    assert found["old in the end"] > 0
    assert found["new in the end"] > 0


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_runs_of_every_algorithm_killed_at_random_moments_leave_no_mixture_that_is_not_mended_and_said(kill):
    found = kill(KILLS)
    print(json.dumps(found, indent=1))
    assert found.get("mixed after the kill", 0) > 0
