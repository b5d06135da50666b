"""What happens around a job: errors, cancel, what is written, what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from floelens.plugin.algorithms.framework import declare
from floelens.plugin.algorithms.framework.base import FloeLensAlgorithm
from floelens.plugin.ground.errors import Cancelled, SceneError
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsProcessingOutputNumber


@dataclass(frozen=True)
class TrialJob:
    """Writes a word, or fails as told."""

    output: str
    extra: str | None
    failure: Exception | None

    def run(self, progress) -> dict[str, object]:
        """Do it."""
        for step in range(10):
            progress.report(step / 10, "working")
            if self.failure is not None and step == 5:
                raise self.failure
        Path(self.output).write_text("done")
        return {"OUTPUT": self.output, "COUNT": 3, "UNDECLARED": object()}


class Trial(FloeLensAlgorithm):
    """An algorithm of two outputs."""

    ID = "trial"
    TITLE = "Trial"
    NEEDS = ()
    failure: Exception | None = None

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(declare.raster("SAR", "SAR", "A raster.", optional=True))
        self.addParameter(declare.raster_output("OUTPUT", "Output", "The word."))
        self.addParameter(declare.raster_output("EXTRA", "Extra", "Another.", optional=True))
        self.addOutput(QgsProcessingOutputNumber("COUNT", "A number"))

    def job(self, values) -> TrialJob:
        """Return the job."""
        values.raster("SAR")
        return TrialJob(values.layer("OUTPUT"), values.layer("EXTRA"), type(self).failure)


@pytest.fixture
def run(context, tmp_path, monkeypatch):
    """Return a function that runs the trial, failing as told."""

    def call(failure=None, feedback=None, **parameters):
        monkeypatch.setattr(Trial, "failure", failure)
        algorithm = Trial()
        algorithm.initAlgorithm()
        parameters = {"OUTPUT": str(tmp_path / "out.tif"), **parameters}
        return algorithm.processAlgorithm(parameters, context, feedback or QgsProcessingFeedback())

    return call


def test_results_are_the_declared_ones(run, tmp_path):
    assert run() == {"OUTPUT": str(tmp_path / "out.tif"), "COUNT": 3}


def test_what_a_person_can_mend_is_told_in_its_own_words(run, tmp_path):
    with pytest.raises(QgsProcessingException, match=r"^No band named 'hv'\.$"):
        run(SceneError("No band named 'hv'."))
    assert not (tmp_path / "out.tif").exists()


def test_a_fault_of_ours_is_one_sentence_and_the_traceback_is_in_the_log(run):
    feedback = QgsProcessingFeedback()
    with pytest.raises(QgsProcessingException, match="failed unexpectedly") as caught:
        run(ZeroDivisionError("division by zero"), feedback)
    assert "Traceback" not in str(caught.value)
    assert "Traceback" in feedback.textLog()
    assert "test_base.py" in feedback.textLog()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ModuleNotFoundError('gone')", "is not installed"),
        ("OSError('no shared library')", "does not load .no shared library."),
    ],
)
def test_a_library_that_is_found_but_cannot_be_imported_is_named(run, monkeypatch, tmp_path, reason, words):
    (tmp_path / "broken_library.py").write_text(f"raise {reason}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(Trial, "NEEDS", ("broken_library",))
    with pytest.raises(QgsProcessingException, match=f"needs broken_library, which .*{words}.*pip install"):
        run()


def test_cancel_stops_within_the_next_report_and_leaves_nothing(run, tmp_path):
    feedback = QgsProcessingFeedback()
    feedback.progressChanged.connect(lambda percent: feedback.cancel() if percent >= 30 else None)
    with pytest.raises(QgsProcessingException, match="Stopped"):
        run(feedback=feedback)
    assert feedback.progress() == pytest.approx(30)
    assert not (tmp_path / "out.tif").exists()


def test_a_job_that_notices_cancel_itself_ends_the_same_way(run):
    with pytest.raises(QgsProcessingException, match=r"^Stopped\.$"):
        run(Cancelled("Stopped."))


def test_checks_are_made_again_when_a_model_runs_the_step(run, tmp_path):
    with pytest.raises(QgsProcessingException, match="does not exist"):
        run(OUTPUT=str(tmp_path / "no" / "out.tif"))


def test_two_results_in_one_file_are_refused(run, tmp_path):
    with pytest.raises(QgsProcessingException, match="EXTRA and OUTPUT are the same file"):
        run(EXTRA=str(tmp_path / "out.tif"))


def test_a_result_never_overwrites_an_input(run, backscatter):
    before = backscatter.read_bytes()
    with pytest.raises(QgsProcessingException, match="OUTPUT and an input are the same file"):
        run(SAR=str(backscatter), OUTPUT=str(backscatter))
    assert backscatter.read_bytes() == before


def test_an_output_not_asked_for_is_not_loaded_and_one_asked_for_is(context, tmp_path, monkeypatch):
    from qgis.core import QgsProcessingOutputLayerDefinition, QgsProject

    monkeypatch.setattr(Trial, "failure", None)
    algorithm = Trial()
    algorithm.initAlgorithm()
    project = QgsProject()
    path = str(tmp_path / "out.tif")
    output = QgsProcessingOutputLayerDefinition(path, project)
    algorithm.processAlgorithm({"OUTPUT": output, "EXTRA": None}, context, QgsProcessingFeedback())
    assert list(context.layersToLoadOnCompletion()) == [path]


def test_unexpected_errors_name_their_kind(run):
    with pytest.raises(QgsProcessingException, match=r"Trial failed unexpectedly \(KeyError: 'x'\)"):
        run(KeyError("x"))
