"""Many runs in one QGIS: it neither ends nor grows, whatever fails, whichever thread runs, with a CUDA torch too."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.algorithms.framework.base import FloeLensAlgorithm
from floelens.plugin.ground.errors import SceneError
from floelens.tests.plugin.conftest import write_raster
from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback

# Beside QGIS 3.40, to load the real one ends the process; torch's compiler loads it.
TRITON = "import os, sys\nsys.stderr.write('triton was imported')\nsys.stderr.flush()\nos._exit(97)\n"
SCRIPT = (Path(__file__).parent / "mixed_runs.py").read_text(encoding="utf-8")


@pytest.fixture
def mixed(qgis_process, packages, plugin_folder, tmp_path):
    """Return a function that runs so many tools in one QGIS and returns what it held meanwhile."""

    def run(count: int) -> list[dict[str, float]]:
        arguments = (str(count), str(tmp_path), str(packages), str(plugin_folder))
        (tmp_path / "shadows").mkdir()
        (tmp_path / "shadows" / "triton.py").write_text(TRITON)
        qgis = replace(qgis_process, shadows=(tmp_path / "shadows",), variables={"OMP_NUM_THREADS": "1"})
        done = qgis.python(SCRIPT, *arguments)
        assert done.returncode == 0, f"QGIS ended with {done.returncode}: {done.stderr[-2000:]}"
        found = json.loads(done.stdout.strip().splitlines()[-1])
        assert found["wrong"] == []
        assert not found["compiler"]
        assert found["ended"] >= 1  # the plugin's own threads end with it
        return found["seen"]

    return run


def assert_steady(seen: list[dict[str, float]], mib: float) -> None:
    for what in ("files", "threads"):  # QGIS's own pool makes and ends threads, each with its files
        assert seen[-1][what] <= seen[0][what] + 4, (what, seen)
    assert seen[-1]["mib"] - seen[0]["mib"] < mib, seen


def test_background_and_failing_runs_neither_end_qgis_nor_make_it_grow(mixed):
    assert_steady(mixed(20), 60)


def test_failed_runs_of_a_script_leave_none_of_their_files_open(provider, backscatter, tmp_path):
    names = [f"btemp_{f}{p}" for f in ("6_9", "7_3", "10_7", "18_7", "23_8", "36_5", "89_0") for p in "hv"]
    warm = np.full((40, 40), 250, np.float32)
    elsewhere = write_raster(tmp_path / "mwr.tif", dict.fromkeys(names, warm), epsg=3412)  # of Antarctica
    parameters = {"SAR": str(backscatter), "MWR": str(elsewhere), "OUTPUT": str(tmp_path / "ice.tif")}

    def fail() -> None:  # its frame, and with it the context, stays with an error that QGIS keeps
        context = QgsProcessingContext()
        algorithm = provider.algorithm("predict").create()
        assert algorithm.checkParameterValues(parameters, context)[0]
        with pytest.raises(QgsProcessingException, match="overlap"):
            algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)

    for _ in range(3):
        fail()
    gc.collect()
    links = list(Path("/proc/self/fd").iterdir())
    assert not [link for link in links if link.is_symlink() and str(link.readlink()) == str(backscatter)]


class Held:
    """Something large that a job works with."""


HELD: list[weakref.ref] = []


@dataclass(frozen=True)
class Failing:
    """Fails with something large at hand."""

    reason: type[Exception]

    def run(self, progress) -> dict[str, object]:
        """Fail."""
        large = Held()
        HELD.append(weakref.ref(large))
        progress.report(0.5, "working")
        try:
            raise self.reason("first")
        except self.reason as error:
            raise self.reason("second") from error


class Trial(FloeLensAlgorithm):
    """An algorithm that fails."""

    ID = "failing"
    NEEDS = ()
    reason: type[Exception] = SceneError

    def declare(self) -> None:
        """Add no parameters."""

    def createInstance(self):  # noqa: N802
        """Return a fresh one, and remember it."""
        made = type(self)()
        HELD.append(weakref.ref(made))
        return made

    def job(self, _values) -> Failing:
        """Return the job."""
        return Failing(self.reason)


@pytest.mark.parametrize("reason", [SceneError, ZeroDivisionError])
def test_nothing_of_a_failed_run_outlives_it(qgis_processing, monkeypatch, reason):
    monkeypatch.setattr(Trial, "reason", reason)
    HELD.clear()
    algorithm = Trial()
    algorithm.initAlgorithm()
    for _ in range(3):
        assert not algorithm.run({}, QgsProcessingContext(), QgsProcessingFeedback(False))[1]
    gc.collect()
    assert len(HELD) >= 3
    assert [reference() for reference in HELD if reference() is not None] == []


@pytest.mark.slow
def test_500_runs_of_which_half_fail_stay_within_100_mib(mixed):
    seen = mixed(500)
    print(f"{seen[0]['mib']:.0f} MiB after the first of each, {seen[-1]['mib']:.0f} MiB after 500 more")
    assert_steady(seen, 100)
