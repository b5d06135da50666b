"""After a kill at any step all old or all new files stand under their names, or the next run says and mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from floelens.tools.headless import ROOT

SCRIPT = Path(__file__).with_name("kill_steps.py")
SCENARIOS = (
    "fresh",
    "existing",
    "existing without hard links",
    "fresh, refused",
    "existing, refused",
)
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks of a process")


def kill(place: Path, scenario: str, *options: str) -> dict:
    command = [sys.executable, str(SCRIPT), str(ROOT), str(place), scenario, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_any_step_leaves_no_mixture_that_is_not_mended_and_told(tmp_path, scenario):
    report = kill(tmp_path / "place", scenario)
    assert report["wrong"] == []
    assert report["steps"] > 40
    assert report["mixed"] > 2  # there were some to mend


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["existing without hard links", "existing, refused"])
def test_a_kill_of_the_run_that_mends_is_mended_by_the_next(tmp_path, scenario):
    report = kill(tmp_path / "place", scenario, "deep")
    assert report["wrong"] == []
    assert report["cases"] > 1000
